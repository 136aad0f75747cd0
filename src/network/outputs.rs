//! What a base makes of pictures: the output of the whole, of parts of it, of single layers.
//!
//! A border `n` parts the layers; what crosses it are the outputs of [`Graph::crossing`] in its order, of
//! which the last is that of the layer just before the border. For a gradient at layer k take what crosses
//! k + 1 and let its last tensor ask for one: whatever depends on layer k comes after it, and what goes
//! round it is constant.
//!
//! [`Graph::crossing`]: crate::network::graph::Graph::crossing

use tch::{Kind, TchError, Tensor};

use crate::machine::device::sent;
use crate::network::base::Base;
use crate::network::compute::{Known, compute};
use crate::network::forward;
use crate::network::weights::layer_weights::LayerWeights;

type Result<T> = std::result::Result<T, TchError>;

impl Base {
    /// The output for raw pixels: (N, H, W, 3) bytes to (N, h, w, C), a view of channels_last memory.
    pub(crate) fn forward_pixels(&self, pixels: &Tensor) -> Result<Tensor> {
        let input = self.input(pixels)?;
        lesson_order(&self.outputs_after(&[input], 0, None)?)
    }

    /// What the first layer takes: (N, H, W, 3), bytes or f32 from 0 to 255, to scaled [N, 3, H, W].
    pub(crate) fn input(&self, pixels: &Tensor) -> Result<Tensor> {
        let scaling = self.origin().scaling;
        let scaled = scaling.apply(&sent(pixels, self.device())?)?;
        // (N, H, W, C) memory seen as [N, C, H, W] is exactly libtorch's channels_last.
        scaled
            .f_permute([0, 3, 1, 2])?
            .f_to_kind(self.precision().kind())
    }

    /// What crosses a border, from the input on.
    pub(crate) fn outputs_before(&self, input: &Tensor, border: usize) -> Result<Vec<Tensor>> {
        self.outputs_of(input, &self.graph().crossing(border))
    }

    /// What some layers make of an input: computed in one pass, no further than they need.
    pub(crate) fn outputs_of(&self, input: &Tensor, numbers: &[usize]) -> Result<Vec<Tensor>> {
        let input = std::slice::from_ref(input);
        forward::outputs(self.graph(), &[0], input, numbers, &|number| {
            self.computing.get(number)
        })
    }

    /// The output of the whole from what crosses a border: [N, C, h, w], or [N, 1000] probabilities after
    /// the top. The layers from the border on have their own weights, or these, one entry for each.
    pub(crate) fn outputs_after(
        &self,
        crossing: &[Tensor],
        border: usize,
        weights: Option<&[LayerWeights]>,
    ) -> Result<Tensor> {
        let last = self.layers().len().saturating_sub(1);
        let outputs = self.past_border(crossing, border, weights, &[last])?;
        first(outputs)
    }

    /// The scores of a network with its top, without the softmax at the end, from what crosses a border:
    /// [N, 1000] in f32. The layers from the border on have their own weights, or these.
    pub(crate) fn logits_after(
        &self,
        crossing: &[Tensor],
        border: usize,
        weights: Option<&[LayerWeights]>,
    ) -> Result<Tensor> {
        let last = self.layers().len().saturating_sub(1);
        let before = |inputs: &[usize]| self.past_border(crossing, border, weights, inputs);
        let own = match weights {
            Some(weights) => weights.last(),
            None => self.computing.get(last),
        };
        self.sums(last, own, &before)?.f_to_kind(Kind::Float)
    }

    /// The weights from a border on in f64, where gradients would not be f32 otherwise: on a GPU libtorch rounds what
    /// convolutions compute for them to TF32, 10 bits of mantissa, and where such gradients cancel little is left of them.
    pub(crate) fn exact_after(&self, border: usize) -> Result<Option<Vec<LayerWeights>>> {
        if !self.device().is_cuda() || self.precision().kind() != Kind::Float {
            return Ok(None);
        }
        let exact = |weights: &LayerWeights| weights.map(|tensor| tensor.f_to_kind(Kind::Double));
        let after = self.computing.iter().skip(border);
        after.map(exact).collect::<Result<_>>().map(Some)
    }

    /// What a layer makes of an input, without the ReLU or softmax that follows.
    pub(crate) fn sums_of(&self, input: &Tensor, number: usize) -> Result<Tensor> {
        let own = self.computing.get(number);
        self.sums(number, own, &|inputs| self.outputs_of(input, inputs))
    }

    fn sums(
        &self,
        number: usize,
        own: Option<&LayerWeights>,
        outputs: &dyn Fn(&[usize]) -> Result<Vec<Tensor>>,
    ) -> Result<Tensor> {
        let layer = self.layers().get(number).zip(own);
        let (layer, own) = layer.ok_or_else(|| TchError::Shape("there is no layer".into()))?;
        let inputs = outputs(&layer.inputs)?;
        let operation = layer.operation.without_activation();
        compute(&operation, inputs, Known::default(), own)
    }

    fn past_border(
        &self,
        crossing: &[Tensor],
        border: usize,
        weights: Option<&[LayerWeights]>,
        wanted: &[usize],
    ) -> Result<Vec<Tensor>> {
        let graph = self.graph();
        let given = graph.crossing(border);
        forward::outputs(graph, &given, crossing, wanted, &|number| match weights {
            Some(weights) => weights.get(number.checked_sub(border)?),
            None => self.computing.get(number),
        })
    }
}

fn first(outputs: Vec<Tensor>) -> Result<Tensor> {
    let missing = || TchError::Shape("there is no output".into());
    outputs.into_iter().next().ok_or_else(missing)
}

/// [N, C, H, W] as the lesson has it, (N, H, W, C): a view; rows of a top stay as they are.
pub(crate) fn lesson_order(output: &Tensor) -> Result<Tensor> {
    match output.dim() {
        4 => output.f_permute([0, 2, 3, 1]),
        _ => Ok(output.shallow_clone()),
    }
}
