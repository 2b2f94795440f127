//! The typed configuration tree, its loading, its checks.
