use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use ndarray::ArrayViewD;

use super::{Element, Name, Tensor};
use crate::{Error, ErrorKind, Result};

/// An ordered set of tensors by name: the inputs or the outputs of a call.
///
/// A set has few tensors, so names are compared, not hashed. [`tensors!`](crate::tensors) builds one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensors<'a> {
    entries: Entries<'a>,
}

type Entry<'a> = (Name, Tensor<'a>);

/// The tensors of a set. A lone one, which most sets are, costs no allocation.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "the large variant is the common one")]
enum Entries<'a> {
    One([Entry<'a>; 1]),
    Many(Vec<Entry<'a>>),
}

impl<'a> Entries<'a> {
    const fn none() -> Self {
        Self::Many(Vec::new())
    }

    fn with_capacity(capacity: usize) -> Self {
        Self::Many(if capacity > 1 { Vec::with_capacity(capacity) } else { Vec::new() })
    }

    #[inline]
    fn as_slice(&self) -> &[Entry<'a>] {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }

    #[cfg(feature = "native")]
    #[inline]
    fn as_mut_slice(&mut self) -> &mut [Entry<'a>] {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }

    #[inline]
    fn push(&mut self, entry: Entry<'a>) {
        match self {
            Self::Many(many) if many.capacity() == 0 => *self = Self::One([entry]),
            Self::Many(many) => many.push(entry),
            Self::One(_) => {
                let mut many = core::mem::take(self).into_vec();
                many.push(entry);
                *self = Self::Many(many);
            }
        }
    }

    fn into_vec(self) -> Vec<Entry<'a>> {
        match self {
            Self::One(one) => one.into(),
            Self::Many(many) => many,
        }
    }
}

impl Default for Entries<'_> {
    fn default() -> Self {
        Self::none()
    }
}

/// By the tensors, wherever they stand.
impl PartialEq for Entries<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

impl<'a> Tensors<'a> {
    /// An empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Entries::none() }
    }

    /// An empty set with room for `capacity` tensors.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { entries: Entries::with_capacity(capacity) }
    }

    /// A set of one tensor.
    #[must_use]
    pub fn one(name: impl Into<Name>, tensor: impl Into<Tensor<'a>>) -> Self {
        Self { entries: Entries::One([(name.into(), tensor.into())]) }
    }

    /// Adds a tensor at the end.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the name is taken.
    pub fn insert(&mut self, name: impl Into<Name>, tensor: impl Into<Tensor<'a>>) -> Result<()> {
        let name = name.into();
        if self.position(&name).is_some() {
            return Err(
                Error::new(ErrorKind::InvalidArgument, "two tensors of one set have the same name").tensor(name)
            );
        }
        self.entries.push((name, tensor.into()));
        Ok(())
    }

    /// Adds a tensor whose name is known to be new.
    pub(crate) fn push(&mut self, name: Name, tensor: Tensor<'a>) {
        debug_assert!(self.position(&name).is_none(), "two tensors named {name}");
        self.entries.push((name, tensor));
    }

    /// The number of tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.as_slice().len()
    }

    /// Whether the set has no tensor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.as_slice().is_empty()
    }

    /// Where `name` stands in the set.
    #[must_use]
    #[inline]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.entries.as_slice().iter().position(|(n, _)| n.as_str() == name)
    }

    /// The tensor called `name`.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownTensor`], listing the names that there are.
    pub fn tensor(&self, name: &str) -> Result<&Tensor<'a>> {
        self.position(name).map(|i| &self.entries.as_slice()[i].1).ok_or_else(|| self.unknown(name))
    }

    /// The dense elements of the tensor called `name`.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownTensor`] when there is none, [`ErrorKind::WrongType`] when its elements are not `T`.
    pub fn get<T: Element>(&self, name: &str) -> Result<ArrayViewD<'_, T>> {
        self.tensor(name)?.view().map_err(|e| e.tensor(name))
    }

    /// The tensor at `index`, with its name.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<(&Name, &Tensor<'a>)> {
        self.entries.as_slice().get(index).map(|(n, t)| (n, t))
    }

    /// The tensors to write to, in order.
    #[cfg(feature = "native")]
    pub(crate) fn tensors_mut(&mut self) -> impl Iterator<Item = &mut Tensor<'a>> {
        self.entries.as_mut_slice().iter_mut().map(|(_, t)| t)
    }

    /// The only tensor of the set.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when there are none or several.
    pub fn single(&self) -> Result<&Tensor<'a>> {
        match self.entries.as_slice() {
            [(_, tensor)] => Ok(tensor),
            _ => Err(Error::new(ErrorKind::InvalidArgument, "the set does not hold exactly one tensor; ask by name")
                .actual(self.names())),
        }
    }

    /// Takes the tensor called `name` out of the set.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownTensor`], listing the names that there are.
    pub fn take(&mut self, name: &str) -> Result<Tensor<'a>> {
        match self.position(name) {
            Some(i) => {
                let mut entries = core::mem::take(&mut self.entries).into_vec();
                let (_, tensor) = entries.remove(i);
                self.entries = Entries::Many(entries);
                Ok(tensor)
            }
            None => Err(self.unknown(name)),
        }
    }

    /// The tensors with their names, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Name, &Tensor<'a>)> + Clone {
        self.entries.as_slice().iter().map(|(n, t)| (n, t))
    }

    /// The same set, borrowing from this one.
    #[must_use]
    pub fn as_view(&self) -> Tensors<'_> {
        self.iter().map(|(n, t)| (n.clone(), t.as_view())).collect()
    }

    /// The same set, owning its elements.
    #[must_use]
    pub fn into_owned(self) -> Tensors<'static> {
        self.into_iter().map(|(n, t)| (n, t.into_owned())).collect()
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.entries.as_slice().iter().map(|(n, _)| n.as_str()).collect();
        if names.is_empty() { "no tensors".to_string() } else { names.join(", ") }
    }

    #[cold]
    fn unknown(&self, name: &str) -> Error {
        Error::new(ErrorKind::UnknownTensor, "there is no tensor of this name").tensor(name).actual(self.names())
    }
}

impl<'a> IntoIterator for Tensors<'a> {
    type Item = (Name, Tensor<'a>);
    type IntoIter = alloc::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_vec().into_iter()
    }
}

/// Names are taken as they come: a repeated one is found by its first tensor.
impl<'a> FromIterator<(Name, Tensor<'a>)> for Tensors<'a> {
    fn from_iter<I: IntoIterator<Item = (Name, Tensor<'a>)>>(iter: I) -> Self {
        let iter = iter.into_iter();
        let mut entries = Entries::with_capacity(iter.size_hint().0);
        iter.for_each(|entry| entries.push(entry));
        Self { entries }
    }
}

/// Builds [`Tensors`] from names and anything that converts into a [`Tensor`]; a `Result`, since a name may be
/// given twice.
///
/// ```
/// use modelberth::{ndarray::array, tensors};
/// let (ages, plans) = (array![[31.0f32], [58.0]], array![["pro".to_string()], ["free".to_string()]]);
/// let inputs = tensors! { "age" => ages.view(), "plan" => plans.view() }?;
/// assert_eq!(inputs.len(), 2);
/// # Ok::<(), modelberth::Error>(())
/// ```
#[macro_export]
macro_rules! tensors {
    () => { $crate::Result::<$crate::Tensors<'_>>::Ok($crate::Tensors::new()) };
    ($name:expr => $tensor:expr $(,)?) => {
        $crate::Result::<$crate::Tensors<'_>>::Ok($crate::Tensors::one($name, $tensor))
    };
    ($($name:expr => $tensor:expr),+ $(,)?) => {
        (|| -> $crate::Result<$crate::Tensors<'_>> {
            let mut set = $crate::Tensors::new();
            $(set.insert($name, $tensor)?;)+
            Ok(set)
        })()
    };
}
