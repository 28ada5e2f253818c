//! What a state may become, and what the protocol forbids.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
use super::*;
use crate::model::{BqType, DeletesPass, Fraction, Mode, PartitionBasis, Removal, Schema};

fn at(cursor: &str) -> Option<Position> {
    Some(Position { cursor: Some(cursor.into()), key: vec!["1".into()] })
}

fn intent(number: u128, lane: Lane, lower: Option<Position>, upper: Option<Position>) -> Box<Intent> {
    let table = |name: &str| BqTable { project: "p".into(), dataset: "d".into(), table: name.into() };
    Box::new(Intent {
        id: IntentId::new(0, number),
        parts: vec![],
        rows: 5,
        bytes: 50,
        lane,
        lower,
        upper,
        schema: Schema::default(),
        key: vec!["id".into()],
        key_enforced: true,
        cursor: Some("c".into()),
        target: table("t"),
        staging: table("s"),
        location: "EU".into(),
        job_project: "p".into(),
        mode: Mode::Merge,
        cleared: vec![],
        metadata: false,
        rejected: 0,
        rejects: vec![],
        deletes: None,
        pruned: None,
    })
}

fn id(number: u128) -> IntentId {
    IntentId::new(0, number)
}

#[test]
fn the_watermark_moves_by_begin_and_commit_alone() {
    let start = TableState::new();
    let first = apply(&start, Event::Begin(intent(1, Lane::Live, None, at("a")))).unwrap();
    assert_eq!(first.watermark, None);
    let second = intent(2, Lane::Live, at("a"), at("b"));
    let both = apply(&first, Event::Commit { id: id(1), next: Some(second) }).unwrap();
    assert_eq!((both.watermark.clone(), both.rows_total), (at("a"), 5));
    let done = apply(&both, Event::Commit { id: id(2), next: None }).unwrap();
    assert_eq!((done.watermark, done.intent, done.rows_total), (at("b"), None, 10));
}

#[test]
fn what_the_protocol_forbids_is_refused() {
    let idle = TableState { watermark: at("a"), ..TableState::new() };
    let pending = apply(&idle, Event::Begin(intent(1, Lane::Live, at("a"), at("b")))).unwrap();
    let table: Vec<(&TableState, Event, Illegal)> = vec![
        (&idle, Event::Begin(intent(2, Lane::Live, None, at("b"))), Illegal::Misplaced(id(2))),
        (&idle, Event::Begin(intent(2, Lane::Live, at("a"), None)), Illegal::Misplaced(id(2))),
        (&idle, Event::Begin(intent(2, Lane::Reread, None, at("b"))), Illegal::Misplaced(id(2))),
        (&idle, Event::Commit { id: id(1), next: None }, Illegal::NotPending(id(1))),
        (&idle, Event::Drop(id(1)), Illegal::NotPending(id(1))),
        (&idle, Event::RereadDone, Illegal::NoReread),
        (&pending, Event::Begin(intent(2, Lane::Live, at("a"), at("c"))), Illegal::Pending(id(1))),
        (&pending, Event::Commit { id: id(2), next: None }, Illegal::NotPending(id(2))),
        (
            &pending,
            Event::Commit { id: id(1), next: Some(intent(2, Lane::Live, at("a"), at("c"))) },
            Illegal::Misplaced(id(2)),
        ),
        (&pending, Event::Drop(id(2)), Illegal::NotPending(id(2))),
        (
            &pending,
            Event::Remember { note: None, holds: vec![], rereads: vec![], basis: None },
            Illegal::Pending(id(1)),
        ),
        (&pending, Event::Reset { to: ResetTo::Beginning, drop_intent: false }, Illegal::Pending(id(1))),
    ];
    for (state, event, illegal) in table {
        assert_eq!(apply(state, event.clone()), Err(illegal), "{event:?}");
    }
}

#[test]
fn a_dropped_intent_leaves_the_watermark() {
    let idle = TableState { watermark: at("a"), ..TableState::new() };
    let pending = apply(&idle, Event::Begin(intent(1, Lane::Live, at("a"), at("b")))).unwrap();
    assert_eq!(apply(&pending, Event::Drop(id(1))).unwrap(), idle);
    let reset = apply(&pending, Event::Reset { to: ResetTo::At(at("0").unwrap()), drop_intent: true }).unwrap();
    assert_eq!((reset.watermark, reset.intent), (at("0"), None));
}

#[test]
fn rereads_move_their_own_position() {
    let reread = Reread { from: None, to: "a".into(), at: None, passed: false };
    let idle = TableState { watermark: at("z"), ..TableState::new() };
    let idle = apply(&idle, Event::Remember { note: None, holds: vec![], rereads: vec![reread], basis: None }).unwrap();
    let pending = apply(&idle, Event::Begin(intent(1, Lane::Reread, None, at("5")))).unwrap();
    let moved = apply(&pending, Event::Commit { id: id(1), next: None }).unwrap();
    assert_eq!((moved.watermark.clone(), moved.rereads[0].at.clone()), (at("z"), at("5")));
    assert_eq!(apply(&moved, Event::RereadDone).unwrap().rereads, vec![]);
}

#[test]
fn a_rebuild_begins_anew_and_ends_with_its_swap() {
    let table = BqTable { project: "p".into(), dataset: "d".into(), table: "s".into() };
    let idle = TableState { watermark: at("z"), ..TableState::new() };
    let swap = intent(1, Lane::Swap, None, None);
    assert_eq!(apply(&idle, Event::Begin(swap.clone())), Err(Illegal::Misplaced(id(1))));
    let building = apply(&idle, Event::Rebuild(table.clone())).unwrap();
    assert_eq!((building.watermark.clone(), building.rebuild.is_some()), (None, true));
    let built = TableState { watermark: at("y"), ..building.clone() };
    let pending = apply(&built, Event::Begin(swap)).unwrap();
    let done = apply(&pending, Event::Commit { id: id(1), next: None }).unwrap();
    assert_eq!((done.watermark, done.rebuild), (at("y"), None));
    // given up, it leaves the target where it was
    let lost = apply(&built, Event::RebuildLost).unwrap();
    assert_eq!((lost.watermark, lost.rebuild), (at("z"), None));
    let dropped = apply(&pending, Event::Drop(id(1))).unwrap();
    assert_eq!((dropped.watermark, dropped.rebuild), (at("z"), None));
    let kept = apply(&pending, Event::Reset { to: ResetTo::Keep, drop_intent: true }).unwrap();
    assert_eq!((kept.watermark, kept.rebuild, kept.intent), (at("z"), None, None));
    let again = apply(&built, Event::Rebuild(table.clone())).unwrap();
    assert_eq!((again.watermark, again.rebuild.unwrap().before), (None, at("z")));
    // with it goes a chunk that was to go into it, and no other
    let mut chunk = intent(2, Lane::Live, at("y"), at("yy"));
    let other = apply(&built, Event::Begin(chunk.clone())).unwrap();
    assert_eq!(apply(&other, Event::RebuildLost), Err(Illegal::Pending(id(2))));
    chunk.target = table;
    let lost = apply(&apply(&built, Event::Begin(chunk)).unwrap(), Event::RebuildLost).unwrap();
    assert_eq!((lost.watermark, lost.intent), (at("z"), None));
}

#[test]
fn a_whole_copy_leaves_no_watermark_behind() {
    let idle = TableState { watermark: at("z"), ..TableState::new() };
    let pending = apply(&idle, Event::Begin(intent(1, Lane::Whole, None, None))).unwrap();
    assert_eq!(apply(&pending, Event::Commit { id: id(1), next: None }).unwrap().watermark, None);
}

#[test]
fn deletes_move_nothing_but_their_own_note() {
    let pass = || DeletesPass {
        removal: Removal::Hard,
        max_fraction: Fraction::ALL,
        cursor: "c".into(),
        cursor_type: BqType::Int64,
        newest: None,
        at_us: 7,
    };
    let idle = TableState { watermark: at("a"), rows_total: 1, ..TableState::new() };
    let mut keys = intent(1, Lane::Deletes, None, at("z"));
    assert_eq!(apply(&idle, Event::Begin(keys.clone())), Err(Illegal::Misplaced(id(1))), "it says not what goes");
    keys.deletes = Some(Box::new(pass()));
    let pending = apply(&idle, Event::Begin(keys)).unwrap();
    let done = apply(&pending, Event::Commit { id: id(1), next: None }).unwrap();
    assert_eq!((done.watermark.clone(), done.rows_total, done.intent.is_none()), (at("a"), 1, true));
    assert_eq!(done.deletes, Some(DeletesDone { at_us: 7, refused: None }));
    let refused = apply(&pending, Event::RefuseDeletes { id: id(1), why: "3 of 4".into() }).unwrap();
    assert_eq!((refused.watermark, refused.intent), (at("a"), None));
    assert_eq!(refused.deletes, Some(DeletesDone { at_us: 7, refused: Some("3 of 4".into()) }));
}

#[test]
fn a_look_at_a_sample_comes_and_goes_and_moves_nothing_else() {
    let table = BqTable { project: "p".into(), dataset: "d".into(), table: "t".into() };
    let check = PartitionCheck { table, column: "p".into(), written: "as INT64".into(), at_us: 7, rows: 3 };
    let idle = TableState { watermark: at("a"), rows_total: 1, ..TableState::new() };
    let pending = apply(&idle, Event::Begin(intent(1, Lane::Live, at("a"), at("b")))).unwrap();
    for before in [idle, pending] {
        let looked = apply(&before, Event::PartitionsChecked(Some(Box::new(check.clone())))).unwrap();
        assert_eq!(looked, TableState { partition_check: Some(Box::new(check.clone())), ..before.clone() });
        assert_eq!(apply(&looked, Event::PartitionsChecked(None)), Ok(before));
    }
}

#[test]
fn what_is_known_of_a_table_that_was_given_up_is_not_known_of_the_target() {
    let noted = |written: &str| {
        let basis = apply(&TableState::new(), load_of(1)).unwrap().basis.unwrap();
        let partition = PartitionBasis { column: "p".into(), written: written.into(), before: None };
        Box::new(Basis { partition: Some(Box::new(partition)), ..*basis })
    };
    let table = BqTable { project: "p".into(), dataset: "d".into(), table: "s".into() };
    for basis in [None, Some(noted("as DATE"))] {
        let idle = TableState { watermark: at("z"), basis: basis.clone(), ..TableState::new() };
        let building = apply(&idle, Event::Rebuild(table.clone())).unwrap();
        let remember = Event::Remember { note: None, holds: vec![], rereads: vec![], basis: Some(noted("as INT64")) };
        let built = apply(&building, remember).unwrap();
        assert_eq!(apply(&built, Event::RebuildLost).unwrap().basis, basis);
    }
}

fn range(from: &str, to: &str) -> WindowRange {
    WindowRange::Cursor { from: from.into(), to: to.into() }
}

#[test]
fn a_window_moves_within_its_own_state() {
    let open = Event::Window(WindowEvent::Open(range("a", "f")));
    let state = apply(&TableState::new(), open.clone()).unwrap();
    assert_eq!(apply(&state, open), Ok(state.clone()));
    let other = Event::Window(WindowEvent::Open(range("a", "g")));
    assert_eq!(apply(&state, other.clone()), Err(Illegal::NotTheWindow));
    let live = TableState { watermark: at("a"), ..TableState::new() };
    assert_eq!(apply(&live, other), Err(Illegal::NotTheWindow), "the table's own state is no window's");
    assert_eq!(apply(&live, Event::Window(WindowEvent::Complete)), Err(Illegal::NotTheWindow));
    assert_eq!(apply(&live, Event::Begin(intent(1, Lane::Window, at("a"), at("b")))), Err(Illegal::Misplaced(id(1))));
    assert_eq!(apply(&state, Event::Begin(intent(1, Lane::Live, None, at("b")))), Err(Illegal::Misplaced(id(1))));
    let pending = apply(&state, Event::Begin(intent(1, Lane::Window, None, at("b")))).unwrap();
    assert_eq!(apply(&pending, Event::Window(WindowEvent::Complete)), Err(Illegal::Pending(id(1))));
    let moved = apply(&pending, Event::Commit { id: id(1), next: None }).unwrap();
    assert_eq!((moved.watermark.clone(), moved.rows_total), (at("b"), 5));
    let complete = apply(&moved, Event::Window(WindowEvent::Complete)).unwrap();
    assert_eq!(
        apply(&complete, Event::Begin(intent(2, Lane::Window, at("b"), at("c")))),
        Err(Illegal::Misplaced(id(2)))
    );
    let again = apply(&complete, Event::Window(WindowEvent::Again)).unwrap();
    assert_eq!((again.watermark, again.rows_total, again.window.unwrap().complete), (None, 0, false));
}

fn load_of(number: u128) -> Event {
    let basis = Box::new(Basis {
        target: BqTable { project: "p".into(), dataset: "d".into(), table: "t".into() },
        mode: Mode::Merge,
        cursor: None,
        key: vec![],
        filter: None,
        columns: vec![],
        gone: vec![],
        left_out: vec![],
        hashed: vec![],
        salt: None,
        naive_zone: None,
        partition: None,
        reset: false,
    });
    Event::Load { id: id(number), upto: at("z").unwrap(), basis }
}

#[test]
fn only_a_table_that_nothing_was_read_of_begins_elsewhere() {
    let new = TableState::new();
    let begin = |from: &str| Event::BeginAt { from: Some(from.into()), basis: None };
    let began = apply(&new, begin("m")).unwrap();
    assert_eq!(apply(&began, begin("m")), Ok(began.clone()));
    assert_eq!(apply(&began, begin("k")), Err(Illegal::Begun));
    let loading = apply(&new, load_of(1)).unwrap();
    assert_eq!((loading.watermark.clone(), loading.load.clone()), (at("z"), Some(id(1))));
    assert_eq!(apply(&loading, load_of(2)), Err(Illegal::Begun));
    assert_eq!(apply(&loading, begin("m")), Err(Illegal::Begun));
    assert_eq!(apply(&loading, Event::Loaded(id(2))), Ok(loading.clone()));
    // the live sync goes on meanwhile, and its intent does not hold the end of the load
    let live = apply(&loading, Event::Begin(intent(3, Lane::Live, at("z"), at("zz")))).unwrap();
    assert_eq!(apply(&live, Event::Loaded(id(1))).unwrap().load, None);
    let reset = apply(&loading, Event::Reset { to: ResetTo::Beginning, drop_intent: false }).unwrap();
    assert_eq!((reset.watermark, reset.load, reset.began), (None, None, None));
    let back = Event::Reset { to: ResetTo::At(at("k").unwrap()), drop_intent: false };
    assert_eq!(apply(&loading, back).unwrap().load, Some(id(1)), "what windows bring is as it was");
    // ranges of keys of a table that is synced
    assert_eq!(apply(&new, Event::LoadAgain(id(4))), Err(Illegal::Begun));
    assert_eq!(apply(&loading, Event::LoadAgain(id(4))), Err(Illegal::Begun));
    let synced = TableState { watermark: at("z"), ..TableState::new() };
    assert_eq!(apply(&synced, Event::LoadAgain(id(4))).unwrap().load, Some(id(4)));
}
