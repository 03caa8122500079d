//! The objects that JavaScript holds, by number.
//!
//! A number names one object and, once that is given back, nothing: JavaScript can't reach an object that is gone, or one of
//! another type.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use level_party::{AsyncEvents, AsyncSnapshot, AsyncWatch};

use crate::calls::database::Database;
use crate::calls::iterator::Walk;
use crate::calls::transaction::Attempts;
use crate::fault::Fault;

/// The number of an object.
pub type Id = u32;

/// Of a number, the bits that are the place. The others count how often the place was used.
const PLACE_BITS: u32 = 20;
const PLACES: usize = 1 << PLACE_BITS;

/// What JavaScript can hold.
#[derive(Clone)]
pub enum Object {
    Database(Rc<Database>),
    Snapshot(Rc<AsyncSnapshot>),
    Walk(Rc<RefCell<Walk>>),
    Attempts(Rc<Attempts>),
    Watch(Rc<RefCell<AsyncWatch>>),
    Events(Rc<RefCell<AsyncEvents>>),
}

#[derive(Default)]
pub struct Objects {
    places: RefCell<Vec<Place>>,
    free: RefCell<Vec<usize>>,
    count: Cell<usize>,
}

#[derive(Default)]
struct Place {
    uses: u32,
    object: Option<Object>,
}

impl Objects {
    /// # Errors
    /// There are too many.
    pub fn add(&self, object: Object) -> Result<Id, Fault> {
        let mut places = self.places.borrow_mut();
        let place = match self.free.borrow_mut().pop() {
            Some(place) => place,
            None if places.len() < PLACES => {
                if places.is_empty() {
                    // No object has the number 0: it says that there is none.
                    places.push(Place::default());
                }
                places.push(Place::default());
                places.len() - 1
            }
            None => return Err(Fault::Misuse("too many iterators and snapshots are open")),
        };
        places[place].object = Some(object);
        self.count.set(self.count.get() + 1);
        Ok((places[place].uses << PLACE_BITS) | place as u32)
    }

    /// The object of a number, if it was not given back.
    pub fn get<T>(&self, id: Id, pick: impl FnOnce(&Object) -> Option<T>) -> Option<T> {
        let places = self.places.borrow();
        let place = places.get(id as usize & (PLACES - 1))?;
        if place.uses != id >> PLACE_BITS {
            return None;
        }
        pick(place.object.as_ref()?)
    }

    /// Gives an object back. Of one that was given back already this does nothing.
    pub fn remove(&self, id: Id) -> Option<Object> {
        let at = id as usize & (PLACES - 1);
        let mut places = self.places.borrow_mut();
        let place = places.get_mut(at)?;
        if place.uses != id >> PLACE_BITS {
            return None;
        }
        let object = place.object.take()?;
        place.uses = (place.uses + 1) & (u32::MAX >> PLACE_BITS);
        self.free.borrow_mut().push(at);
        self.count.set(self.count.get() - 1);
        Some(object)
    }

    /// Gives all of them back, databases after what was made of them.
    pub fn clear(&self) {
        let places = std::mem::take(&mut *self.places.borrow_mut());
        let objects = places.into_iter().filter_map(|place| place.object);
        let (databases, others): (Vec<_>, Vec<_>) =
            objects.partition(|object| matches!(object, Object::Database(_)));
        drop(others);
        drop(databases);
        self.count.set(0);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count.get()
    }
}
