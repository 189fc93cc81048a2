/// What a file may ask for before it is refused. A model file is hostile until checked; these are checked before
/// memory is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most bytes that one file may have. Default 4 GiB.
    pub max_file_bytes: u64,
    /// The most elements that one tensor may have, in a file or while predicting. Default 2^31.
    pub max_elements: usize,
    /// The most messages (nodes, attributes, tensors, ...) that a graph may consist of. Default 4 million.
    pub max_messages: usize,
    /// The deepest nesting of messages and subgraphs. Default 64.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_file_bytes: 4 << 30, max_elements: 1 << 31, max_messages: 4_000_000, max_depth: 64 }
    }
}

impl Limits {
    /// Sets [`max_file_bytes`](Self::max_file_bytes).
    #[must_use]
    pub const fn max_file_bytes(mut self, bytes: u64) -> Self {
        self.max_file_bytes = bytes;
        self
    }

    /// Sets [`max_elements`](Self::max_elements).
    #[must_use]
    pub const fn max_elements(mut self, elements: usize) -> Self {
        self.max_elements = elements;
        self
    }

    /// Sets [`max_messages`](Self::max_messages).
    #[must_use]
    pub const fn max_messages(mut self, messages: usize) -> Self {
        self.max_messages = messages;
        self
    }

    /// Sets [`max_depth`](Self::max_depth).
    #[must_use]
    pub const fn max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth;
        self
    }
}
