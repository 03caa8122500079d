//! What one environment (the main thread, or a worker) has.

use std::rc::Rc;

use crate::border::Loop;
use crate::objects::Objects;
use crate::tasks::Tasks;

pub struct Realm {
    pub objects: Rc<Objects>,
    pub tasks: Tasks,
}

impl Realm {
    pub fn new(of: Loop) -> Self {
        Realm {
            objects: Rc::default(),
            tasks: Tasks::new(of),
        }
    }

    /// The environment ends: what is under way is given up, and what is open is closed.
    pub fn end(&self) {
        self.tasks.clear();
        self.objects.clear();
    }
}
