//! Transactions whose body is JavaScript.
//!
//! [`AsyncDb::transaction`](level_party::AsyncDb::transaction) runs a closure until it commits. Here the closure hands its
//! transaction out and waits for a verdict: JavaScript asks for an attempt, runs its body, and asks again, which is the verdict
//! "commit".

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use level_party::{AsyncReadable, AsyncTransaction, Error, WriteBatch};

use crate::answer::{Answer, Format};
use crate::border::Call;
use crate::calls::iterator::{add_walk, walk_arguments};
use crate::calls::reads::owned;
use crate::fault::Fault;
use crate::objects::Object;
use crate::packed::Packed;
use crate::tasks::Made;

type Run = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

/// A transaction, over all of its attempts.
pub struct Attempts {
    /// Not there while it is polled, nor once it has ended.
    run: RefCell<Option<Run>>,
    stage: Rc<RefCell<Stage>>,
}

/// Where it stands between the closure and JavaScript.
#[derive(Default)]
struct Stage {
    /// The attempt that JavaScript makes.
    attempt: Option<Rc<AsyncTransaction>>,
    waker: Option<Waker>,
}

impl Attempts {
    fn current(&self) -> Result<Rc<AsyncTransaction>, Fault> {
        let stage = self.stage.borrow();
        let attempt = stage.attempt.as_ref().map(Rc::clone);
        attempt.ok_or(Fault::Gone("the transaction has ended"))
    }
}

/// `transaction(db, sync)`: one that nothing was done in yet.
pub fn transaction(call: &Call<'_>) -> Made {
    let database = call.database(0)?;
    let sync = call.number(1)?;
    let stage = Rc::new(RefCell::new(Stage::default()));
    let theirs = Rc::clone(&stage);
    let run: Run = Box::pin(async move {
        database
            .tasks
            .transaction(async |tx| {
                match sync {
                    0 => tx.sync(false),
                    1 => tx.sync(true),
                    _ => {}
                }
                theirs.borrow_mut().attempt = Some(Rc::new(tx));
                verdict(&theirs).await;
                Ok(())
            })
            .await
    });
    let attempts = Attempts {
        run: RefCell::new(Some(run)),
        stage,
    };
    let id = call
        .realm
        .objects
        .add(Object::Attempts(Rc::new(attempts)))?;
    Ok(Answer::Object(id))
}

/// Until JavaScript has taken the attempt away again.
async fn verdict(stage: &RefCell<Stage>) {
    std::future::poll_fn(|context| {
        let mut stage = stage.borrow_mut();
        match stage.attempt {
            None => Poll::Ready(()),
            Some(_) => {
                stage.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    })
    .await;
}

fn of(call: &Call<'_>) -> Result<Rc<Attempts>, Fault> {
    let found = call
        .realm
        .objects
        .get(call.number(0)?, |object| match object {
            Object::Attempts(attempts) => Some(Rc::clone(attempts)),
            _ => None,
        });
    found.ok_or(Fault::Gone("the transaction has ended"))
}

/// `attempt(transaction)`: commits the attempt that there is, and gives whether JavaScript has to make another one.
pub fn attempt(call: &Call<'_>) -> Made {
    let attempts = of(call)?;
    attempts.stage.borrow_mut().attempt = None;
    call.realm.tasks.start(std::future::poll_fn(move |context| {
        let Some(mut run) = attempts.run.borrow_mut().take() else {
            return Poll::Ready(Err(Fault::Gone("the transaction has ended")));
        };
        if let Poll::Ready(made) = run.as_mut().poll(context) {
            return Poll::Ready(made.map(|()| Answer::Flag(false)).map_err(Fault::Party));
        }
        *attempts.run.borrow_mut() = Some(run);
        match attempts.stage.borrow().attempt {
            Some(_) => Poll::Ready(Ok(Answer::Flag(true))),
            None => Poll::Pending,
        }
    }))
}

/// `abandon(transaction)`: nothing is written.
pub fn abandon(call: &Call<'_>) -> Made {
    if let Some(Object::Attempts(attempts)) = call.realm.objects.remove(call.number(0)?) {
        // The closure waits: what it holds goes with it.
        let run = attempts.run.borrow_mut().take();
        drop(run);
        attempts.stage.borrow_mut().attempt = None;
    }
    Ok(Answer::Undefined)
}

/// `txGet(transaction, keyLength, utf8)`
pub fn get(call: &Call<'_>) -> Made {
    let tx = of(call)?.current()?;
    let key = call.packed(0, call.number(1)?)?.to_vec();
    let format = Format::utf8_if(call.number(2)? != 0);
    call.realm
        .tasks
        .start(async move { Ok(Answer::Value(tx.get(key).await?, format)) })
}

/// `txGetMany(transaction, packedLength, utf8)`
pub fn get_many(call: &Call<'_>) -> Made {
    let tx = of(call)?.current()?;
    let keys = owned(Packed::new(call.packed(0, call.number(1)?)?).keys()?);
    let format = Format::utf8_if(call.number(2)? != 0);
    call.realm
        .tasks
        .start(async move { Ok(Answer::Values(tx.get_many(keys).await?, format)) })
}

/// `txHas(transaction, keyLength)`
pub fn has(call: &Call<'_>) -> Made {
    let tx = of(call)?.current()?;
    let key = call.packed(0, call.number(1)?)?.to_vec();
    call.realm
        .tasks
        .start(async move { Ok(Answer::Flag(tx.contains(key).await?)) })
}

/// `txBatch(transaction, packedLength)`: puts and deletes, when it returns.
pub fn batch(call: &Call<'_>) -> Made {
    let tx = of(call)?.current()?;
    let mut batch = WriteBatch::new();
    Packed::new(call.packed(0, call.number(1)?)?).operations(&mut batch)?;
    tx.write(&batch)?;
    Ok(Answer::Undefined)
}

/// `txIterator(transaction, packedLength, flags)`: a walk.
pub fn iterator(call: &Call<'_>) -> Made {
    let tx = of(call)?.current()?;
    let (bounds, flags) = walk_arguments(call, 1)?;
    add_walk(&call.realm.objects, tx.range(bounds), flags)
}
