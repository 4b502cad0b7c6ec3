//! WASI host services and the preview 1 binding for the Tepui runtime.
