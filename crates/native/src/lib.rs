//! What differs per platform: maps, code memory, signals, stubs, frame walk.
