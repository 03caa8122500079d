//! A session whose own process leads.

use level_party_os::{DataDir, DirLock};

use super::*;
use crate::leader::Leadership;
use crate::session::flight::Caller;
use crate::session::pump::Patience;
use crate::sign_of_life::Member;

fn lead(session: &Session, path: &std::path::Path) -> Arc<Leadership> {
    // The engine reaches its files through the descriptor, which a node keeps as long as it lives.
    let dir: &'static DataDir = Box::leak(Box::new(DataDir::open(path).unwrap()));
    let lock = DirLock::try_acquire(dir).unwrap();
    let own = || Member {
        session: session.id(),
        place: None,
    };
    let alarm = Arc::new(Alarm::new().unwrap());
    Leadership::take_over(dir, path, lock, &Options::default(), alarm, &own).unwrap()
}

/// Found by review: a thread went on making the calls of others long after its own time was up.
#[test]
fn a_caller_whose_time_is_up_makes_no_more_calls_of_others_and_hands_them_on() {
    let dir = tempfile::tempdir().unwrap();
    let session = session();
    let leadership = lead(&session, dir.path());
    session.promote(leadership.clone()).unwrap();
    let key = Bytes::new(b"k");
    let read = Request::Get { key, at: None };
    let mut batch = crate::batch::WriteBatch::new();
    batch.put(b"k", b"v");
    let write = Request::Write(Write {
        number: 0,
        sync: false,
        batch: Bytes::new(batch.as_bytes()),
        conditions: Bytes::new(b""),
    });
    {
        let mut inner = session.lock();
        let limits = Limits::new(PATIENCE, true);
        let ids: Vec<u64> = [read, write, read]
            .iter()
            .map(|request| {
                let (caller, _) = Caller::this_thread();
                inner.submit(request, &limits, caller, 1 << 10)
            })
            .collect();
        session.pump(&mut inner, Patience::Until(std::time::Instant::now()));
        assert_eq!(inner.queue, ids, "all are left, in their order");
        session.pump(&mut inner, Patience::Endless);
        let answers: Vec<Answer> = ids
            .iter()
            .map(|id| inner.take_answer(*id).expect("made").unwrap().answer)
            .collect();
        assert!(matches!(answers[0], Answer::Value(None)));
        assert!(matches!(answers[1], Answer::Written { sequence: 1 }));
        assert!(matches!(&answers[2], Answer::Value(Some(value)) if value == b"v"));
    }
    session.step_down();
    leadership.leave();
}
