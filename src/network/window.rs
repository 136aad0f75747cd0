//! How a convolution or a pooling moves over a picture: its window, its steps and what lies beyond the edge.
//!
//! What is added at the edges follows from the size of the picture, which need not be the base's own
//! (patterns of filters are made at another), so it is worked out where pictures go through.

/// Whether the edges get room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// The window stays within the picture.
    Valid,
    /// So much is added that only the strides make the picture smaller; the odd row or column at the end,
    /// as in Keras.
    Same,
    /// These rows above and below, these columns left and right.
    Zeros {
        rows: [usize; 2],
        columns: [usize; 2],
    },
}

/// A window of rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// (rows, columns)
    pub(crate) size: [usize; 2],
    /// How far it moves, (down, right).
    pub(crate) strides: [usize; 2],
    pub(crate) padding: Padding,
}

impl Window {
    /// Squares of two rows and two columns side by side: halves a picture.
    pub(crate) const HALVES: Self = Self {
        size: [2, 2],
        strides: [2, 2],
        padding: Padding::Valid,
    };

    /// `rows` x `columns`, one step at a time, without padding.
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        Self {
            size: [rows, columns],
            strides: [1, 1],
            padding: Padding::Valid,
        }
    }

    /// The same moving by `stride` in both directions.
    pub(crate) fn stride(mut self, stride: usize) -> Self {
        self.strides = [stride, stride];
        self
    }

    /// The same with Keras' padding "same".
    pub(crate) fn same(mut self) -> Self {
        self.padding = Padding::Same;
        self
    }

    /// The same over a picture that these rows and columns are added to before: what a layer of zeros and a window
    /// without padding do one after the other. None if the window has padding of its own.
    pub(crate) fn over_zeros(mut self, rows: [usize; 2], columns: [usize; 2]) -> Option<Self> {
        let has_none = self.padding == Padding::Valid;
        self.padding = Padding::Zeros { rows, columns };
        has_none.then_some(self)
    }

    /// How many rows (axis 0) or columns (axis 1) of `length` come out.
    pub(crate) fn output(&self, axis: usize, length: usize) -> usize {
        match self.padding {
            Padding::Same => length.div_ceil(self.strides[axis]),
            _ => {
                let length = length + self.sides(axis, length).iter().sum::<usize>();
                match length.checked_sub(self.size[axis]) {
                    None => 0,
                    Some(left) => left / self.strides[axis] + 1,
                }
            }
        }
    }

    /// How many rows or columns are added before and after `length` of them.
    pub(crate) fn sides(&self, axis: usize, length: usize) -> [usize; 2] {
        match self.padding {
            Padding::Valid => return [0, 0],
            Padding::Zeros { rows, columns } => return [rows, columns][axis],
            Padding::Same => {}
        }
        let moved = self.output(axis, length).saturating_sub(1) * self.strides[axis];
        let added = (moved + self.size[axis]).saturating_sub(length);
        [added / 2, added - added / 2]
    }

    /// How many rows and columns are added on each side of a picture of [height, width]; none if one side gets more
    /// than the other, which libtorch's own padding cannot do.
    pub(crate) fn even_sides(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let [rows, columns] = [self.sides(0, size[0]), self.sides(1, size[1])];
        (rows[0] == rows[1] && columns[0] == columns[1]).then_some([rows[0], columns[0]])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test may stop")]
mod tests {
    use super::*;

    #[test]
    fn windows_leave_what_keras_leaves() {
        // Keras 3.15: the output shapes of Conv2D(1, kernel, strides, padding) over a row of so many.
        for (window, length, left) in [
            (Window::new(3, 3), 150, 148),
            (Window::new(3, 3), 2, 0),
            (Window::new(3, 3).same(), 150, 150),
            (Window::HALVES, 37, 18),
            (Window::new(3, 3).stride(2), 299, 149),
            (Window::new(3, 3).stride(2).same(), 8, 4),
            (Window::new(1, 1).stride(2).same(), 7, 4),
        ] {
            assert_eq!(window.output(1, length), left, "{window:?} over {length}");
        }
        // One row above, two below, none beside: as over the seven and four that there are then.
        let zeros = Window::new(3, 3)
            .stride(2)
            .over_zeros([1, 2], [0, 0])
            .unwrap();
        assert_eq!((zeros.output(0, 4), zeros.output(1, 4)), (3, 1));
        assert_eq!(zeros.even_sides([4, 4]), None);
        assert_eq!(zeros.over_zeros([0, 0], [0, 0]), None);
        // Seven columns stay seven with three on each side; rows of one need none.
        let flat = Window::new(1, 7).same();
        assert_eq!((flat.sides(0, 9), flat.sides(1, 9)), ([0, 0], [3, 3]));
        // Four outputs, two apart, need 2 * 3 + 3 = 9 rows: the one more comes at the end.
        let odd = Window::new(3, 3).stride(2).same();
        assert_eq!((odd.sides(0, 8), odd.sides(0, 7)), ([0, 1], [1, 1]));
    }
}
