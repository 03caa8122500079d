//! The queue of the example `work_queue`, with a clock that the test turns.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread::scope;

use level_party::Db;

#[path = "../examples/work_queue.rs"]
#[allow(dead_code, reason = "the example has a main function")]
mod work_queue;

use work_queue::Queue;

fn queue() -> (tempfile::TempDir, Db, Queue) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let queue = Queue::new(db.clone());
    (dir, db, queue)
}

#[test]
fn jobs_are_claimed_in_order_and_done_once() {
    let (_dir, _db, queue) = queue();
    for job in ["sweep", "mop", "dust"] {
        queue.put(job).unwrap();
    }
    for (number, job) in (1..).zip(["sweep", "mop", "dust"]) {
        let lease = queue.claim(7, 100).unwrap().expect("a job");
        assert_eq!((lease.number, lease.job.as_str()), (number, job));
        assert!(queue.done(&lease).unwrap());
        assert!(!queue.done(&lease).unwrap(), "done once");
    }
    assert_eq!(queue.claim(7, 100).unwrap(), None);
    assert_eq!(queue.count().unwrap(), (0, 0));
}

#[test]
fn job_of_a_worker_that_is_gone_comes_back() {
    let (_dir, _db, queue) = queue();
    queue.put("sweep").unwrap();
    queue.put("mop").unwrap();
    let lost = queue.claim(7, 100).unwrap().expect("a job");
    assert_eq!(queue.next_end().unwrap(), Some(lost.until));
    let other = queue.claim(8, lost.until - 1).unwrap().expect("a job");
    assert_eq!(other.job, "mop");
    assert_eq!(queue.claim(8, lost.until - 1).unwrap(), None);

    let again = queue.claim(8, lost.until).unwrap().expect("the job again");
    assert_eq!((again.number, again.job.as_str()), (lost.number, "sweep"));
    assert!(!queue.done(&lost).unwrap(), "it is another worker's");
    assert_eq!(queue.extend(&lost, lost.until).unwrap(), None);
    assert!(queue.done(&again).unwrap() && queue.done(&other).unwrap());
    assert_eq!(queue.count().unwrap(), (0, 0));
    assert_eq!(queue.next_end().unwrap(), None);
}

#[test]
fn extended_lease_keeps_its_job() {
    let (_dir, _db, queue) = queue();
    queue.put("sweep").unwrap();
    let lease = queue.claim(7, 100).unwrap().expect("a job");
    let longer = queue.extend(&lease, lease.until - 1).unwrap();
    let longer = longer.expect("the lease stands");
    assert_eq!(queue.claim(8, lease.until).unwrap(), None);
    assert!(
        !queue.done(&lease).unwrap(),
        "it is not that lease any more"
    );
    assert!(queue.done(&longer).unwrap());
}

#[test]
fn workers_at_once_share_the_jobs() {
    const JOBS: u64 = 400;
    let (_dir, db, queue) = queue();
    for job in 0..JOBS {
        queue.put(&job.to_string()).unwrap();
    }
    let seen = Mutex::new(BTreeSet::new());
    scope(|threads| {
        for worker in 0..4 {
            let (seen, queue) = (&seen, Queue::new(db.clone()));
            threads.spawn(move || {
                while let Some(lease) = queue.claim(worker, 100).unwrap() {
                    assert!(seen.lock().unwrap().insert(lease.number), "claimed twice");
                    assert!(queue.done(&lease).unwrap());
                }
            });
        }
    });
    assert_eq!(seen.lock().unwrap().len() as u64, JOBS);
    assert_eq!(queue.count().unwrap(), (0, 0));
}
