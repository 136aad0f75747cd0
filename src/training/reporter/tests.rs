//! Runs that are made up, on a clock that is set forward by hand.

#![allow(clippy::unwrap_used, reason = "a failing test may stop")]

use std::cell::Cell;
use std::ops::RangeInclusive;
use std::rc::Rc;

use super::*;
use crate::show::place::tests::{Screen, Shown, displays};

const STEPS: usize = 10;

fn fit(progress: &Progress, epochs: usize) -> Fit {
    Fit::default().epochs(epochs).progress(progress.clone())
}

/// Numbers that get better up to epoch 7, and worse again.
fn epoch(number: usize) -> Epoch {
    let away = (number as f64 - 7.0).abs() / 1000.0;
    Epoch {
        loss: 0.3 + away,
        accuracy: 0.9 - away,
        val_loss: Some(0.4 + away),
        val_accuracy: Some(0.8 - away),
        mae: None,
        val_mae: None,
        seconds: 1.0,
    }
}

fn so_far() -> Evaluation {
    Evaluation {
        loss: 0.5,
        accuracy: 0.75,
        mae: None,
    }
}

/// A clock that is set forward by hand, in milliseconds.
#[derive(Clone, Default)]
struct Hand(Rc<Cell<u64>>);

impl Hand {
    fn forward(&self, wait: Duration) {
        self.0.set(self.0.get() + wait.as_millis() as u64);
    }
}

/// A reporter whose frames cost nothing, however busy the machine is.
fn reporter(fit: &Fit, history: &mut History) -> (Reporter, Hand) {
    let hand = Hand::default();
    let time = hand.clone();
    let clock = Box::new(move || Duration::from_millis(time.0.get()));
    let mut reporter = Reporter::on_clock(fit, history, clock);
    if reporter.progress.is_live() {
        let first = Duration::from_millis(300);
        reporter.pace = Pace::new(first, TEXT, 0);
        reporter.pace_of_curves = Pace::new(first, CURVES, 0);
    }
    (reporter, hand)
}

/// Epochs of ten steps and a validation, `wait` for each of these.
fn run((reporter, hand): (&mut Reporter, &Hand), numbers: RangeInclusive<usize>, wait: Duration) {
    for number in numbers {
        reporter.begin_epoch(number, STEPS, 20 * STEPS);
        for step in 1..=STEPS {
            hand.forward(wait);
            reporter.step(step, Some(so_far()));
        }
        reporter.begin_validation(so_far(), 100);
        hand.forward(wait);
        reporter.validated(50);
        hand.forward(wait);
        reporter.validated(100);
        reporter.end_epoch(epoch(number));
    }
}

fn text(shown: &Shown) -> &str {
    shown.data["text/plain"].as_str().unwrap()
}

#[test]
fn a_live_run_is_epochs_over_a_bar_and_curves_that_grow() {
    let progress = Progress::live().in_memory();
    let mut history = History::default();
    let (mut reporter, hand) = reporter(&fit(&progress, 3), &mut history);
    let curves = history.display_id.unwrap();
    run((&mut reporter, &hand), 1..=3, Duration::from_millis(130));
    let moving = displays(&progress);
    // Up to five a second in 36 times 130 ms.
    assert!((12..=23).contains(&moving.len()), "{}", moving.len());
    let (pictures, texts): (Vec<_>, Vec<_>) =
        moving.iter().partition(|shown| shown.id == curves.as_str());
    assert!(texts.iter().all(|shown| shown.id == texts[0].id));

    let beginning =
        "Epoch 1/3: 3/10 steps, 154 pictures/s, 0.9 s left - accuracy: 0.7500 - loss: 0.5000";
    assert_eq!(text(texts[0]), beginning);
    let html = texts[0].data["text/html"].as_str().unwrap();
    assert!(html.contains("<progress value=\"3\" max=\"10\""), "{html}");
    let validation = ", validation: 50/100 pictures";
    assert!(texts.iter().any(|shown| text(shown).contains(validation)));
    let later = texts
        .iter()
        .find(|shown| text(shown).contains("Epoch 2/3:"));
    let above = format!("{}\nEpoch 2/3: ", epoch(1).line(1, 3, STEPS));
    assert!(text(later.unwrap()).starts_with(&above), "{above}");

    // From the second epoch on, as SVG.
    assert!((1..=3).contains(&pictures.len()), "{}", pictures.len());
    for shown in pictures {
        let html = shown.data["text/html"].as_str().unwrap();
        assert!(html.starts_with("<img src=\"data:image/svg+xml;base64,"));
        assert!(!shown.data.contains_key("image/png"));
    }

    reporter.note("stopped in epoch 3, after 5 steps");
    reporter.finish();
    let shown = displays(&progress);
    let [.., epochs, curve] = &shown[..] else {
        unreachable!()
    };
    let mut lines = (1..=3)
        .map(|n| epoch(n).line(n, 3, STEPS))
        .collect::<Vec<_>>();
    lines.push("Note: stopped in epoch 3, after 5 steps".into());
    assert_eq!(text(epochs), lines.join("\n"));
    assert_eq!((epochs.data.len(), &epochs.id), (1, &texts[0].id));
    assert_eq!(curve.id, curves.as_str());
    assert!(curve.data.contains_key("image/png") && !curve.data.contains_key("text/html"));
}

#[test]
fn a_thousand_epochs_take_no_more_room_than_a_few() {
    let progress = Progress::live().in_memory();
    let mut history = History::default();
    let (mut reporter, hand) = reporter(&fit(&progress, 1000), &mut history);
    run((&mut reporter, &hand), 1..=1000, Duration::from_millis(5));
    for number in 1..=100 {
        reporter.note(&format!("no checkpoint after epoch {number}"));
    }
    // 1,000 times 12 times 5 ms are a minute.
    let moving = displays(&progress);
    let most = 5 * 60;
    // Half of what is allowed at least, or nothing would move.
    assert!(
        (most / 2..=most).contains(&moving.len()),
        "{}",
        moving.len()
    );
    for shown in &moving {
        assert!(
            text(shown).lines().count() <= MOST_LINES + 2,
            "{}",
            text(shown)
        );
        let html = shown.data["text/html"].as_str().unwrap();
        assert!(html.len() < 300_000, "{}", html.len());
    }
    reporter.finish();
    let shown = displays(&progress);
    let stays = text(&shown[shown.len() - 2]);
    let mut lines = [1, 7, 1000].map(|n| epoch(n).line(n, 1000, STEPS)).to_vec();
    let note = "The first, the best (7) and the last of 1000 epochs; `history.table()` shows all";
    lines.push(note.into());
    assert!(stays.starts_with(&lines.join("\n")), "{stays}");
    // Of the notes the first and the latest.
    assert_eq!(stays.lines().count(), 4 + MOST_LINES);
    assert!(stays.contains("after epoch 1\n") && stays.ends_with("after epoch 100"));
}

#[test]
fn a_run_that_breaks_off_leaves_no_bar() {
    let progress = Progress::live().in_memory();
    let mut history = History::default();
    let (mut reporter, hand) = reporter(&fit(&progress, 3), &mut history);
    reporter.begin_epoch(1, STEPS, 20 * STEPS);
    hand.forward(Duration::from_secs(1));
    reporter.step(4, None);
    let moving = displays(&progress);
    assert_eq!(moving.len(), 1);
    // What is not known on a GPU is left out.
    assert!(!text(&moving[0]).contains("accuracy"));
    drop(reporter);
    let last = displays(&progress).pop().unwrap();
    assert_eq!(text(&last), "Epoch 1/3: stopped at 4/10 steps");
    assert_eq!((last.data.len(), &last.id), (1, &moving[0].id));
}

#[test]
fn a_run_that_goes_on_shows_its_own_epochs_and_all_curves() {
    let progress = Progress::live().in_memory();
    let mut before = History::default();
    before.epochs = (1..=4).map(epoch).collect();
    let (mut reporter, hand) = reporter(&fit(&progress, 5), &mut before);
    run((&mut reporter, &hand), 5..=5, Duration::ZERO);
    // Over before the first report: its lines are printed.
    reporter.finish();
    let kept = progress.kept();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0], epoch(5).line(5, 5, STEPS));
    let curve = displays(&progress).pop().unwrap();
    before.epochs.push(epoch(5));
    let expected = before.plot().to_string();
    assert_eq!(text(&curve), expected);
}

#[test]
fn lines_are_epochs_and_now_and_then_their_steps() {
    let progress = Progress::keeping();
    let mut history = History::default();
    let (mut reporter, hand) = reporter(&fit(&progress, 2), &mut history);
    assert!(history.display_id.is_none());
    // Steps of 3 s: reports after 12 s of each epoch, and at its end nothing but its line.
    run((&mut reporter, &hand), 1..=1, Duration::from_secs(3));
    reporter.note("stopped before epoch 2");
    reporter.finish();
    let lines = [
        "Epoch 1/2: 4/10 steps, 0.3 steps/s, 18 s left",
        &epoch(1).line(1, 2, STEPS),
        "Note: stopped before epoch 2",
    ];
    assert_eq!(progress.kept(), lines);
}

#[test]
fn a_terminal_has_a_bar_an_epoch_which_gives_way_to_its_line() {
    let screen = Screen::default();
    let progress = screen.progress();
    let mut history = History::default();
    let (mut reporter, hand) = reporter(&fit(&progress, 2), &mut history);
    run((&mut reporter, &hand), 1..=2, Duration::from_millis(400));
    reporter.finish();
    let lines = [1, 2].map(|n| epoch(n).line(n, 2, STEPS));
    assert_eq!(progress.kept(), lines);
    let written = screen.written();
    assert!(written.contains("Epoch 1/2: 1/10 steps"), "{written:?}");
    assert!(written.contains("validation"), "{written:?}");
}

#[test]
fn a_quiet_run_shows_nothing() {
    let mut history = History::default();
    let progress = Progress::quiet().in_memory();
    let (mut reporter, hand) = reporter(&fit(&progress, 2), &mut history);
    run((&mut reporter, &hand), 1..=2, Duration::from_secs(10));
    reporter.note("nobody hears this");
    reporter.finish();
    assert!(progress.kept().is_empty());
    assert!(history.display_id.is_none());
}
