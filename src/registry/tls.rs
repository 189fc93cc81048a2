//! The cryptography under connections.

/// Makes `ring` the provider of this process, unless the host has chosen one. The other that rustls knows needs cmake.
pub(super) fn provide() {
    // An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
