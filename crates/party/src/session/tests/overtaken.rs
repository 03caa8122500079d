//! A leader that was overtaken and goes on in the middle of a write.

use super::*;

/// Found by review: an overtaken leader wrote its own epoch and sequence over what its successor had assigned, and the
/// write was made again by the one after that.
#[test]
fn what_an_overtaken_leader_does_late_has_no_write_made_twice() {
    let [overtaken, successor, third] = [1, 2, 3].map(|number| Epoch {
        number,
        random: [number; 2],
    });
    let recovered = RecoveredThrough::Sequence(60);
    let session = session();
    let page = session.page();
    std::thread::scope(|threads| {
        let put = threads.spawn(|| put_now(&session, b"p", Limits::new(PATIENCE, true)));
        let (link_1, mut leader) = link();
        let tenure = attach_to(&session, link_1, overtaken, recovered, true).unwrap();
        let (_, number) = leader.next(numbered_write);
        assert!(page.claim(number, overtaken), "and there it stands still");
        session.lose(tenure);
        let (link_2, mut leader) = link();
        let tenure = attach_to(&session, link_2, successor, recovered, true).unwrap();
        assert_eq!(leader.next(numbered_write).1, number, "it was not assigned");
        assert!(page.claim(number, successor));
        assert!(page.assign(number, successor, 60));
        assert!(!page.assign(number, overtaken, 90), "the first goes on");
        assert!(!page.refuse(number, overtaken));
        session.lose(tenure);
        let (link_3, _leader) = link();
        attach_to(&session, link_3, third, recovered, true).unwrap();
        let answer = put.join().unwrap().expect("it was made").answer;
        assert!(matches!(answer, Answer::Written { sequence: 60 }));
    });
}
