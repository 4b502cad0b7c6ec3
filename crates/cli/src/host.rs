//! What of the machine does a guest get? The store's data: WASI, as the command
//! line allows it, and the limit on memory.

use crate::args::RunArgs;
use crate::failure::Failure;
use tepui::{Engine, Error, Linker, Module, ResourceLimiter, Store, Trap};
use tepui_wasi::{I32Exit, InterruptHandle, Interrupted, WasiCtx};

/// The data of the store that the guest runs in.
pub(crate) struct Host {
    wasi: WasiCtx,
    memory: MemoryLimit,
}

impl Host {
    /// What `args` give the guest, whose program arguments are `argv`.
    pub(crate) fn new(args: &RunArgs, argv: &[String]) -> Result<Host, Failure> {
        let granted = |e: &dyn std::fmt::Display| Failure::Load(format!("WASI: {e}"));
        let mut wasi = WasiCtx::builder();
        wasi.inherit_stdio().map_err(|e| granted(&e))?;
        wasi.args(argv);
        for (name, value) in &args.env {
            let value = match value {
                Some(value) => Some(value.clone()),
                None => match std::env::var(name) {
                    Ok(value) => Some(value),
                    Err(std::env::VarError::NotPresent) => None,
                    Err(e) => return Err(Failure::Usage(format!("--env {name}: {e}"))),
                },
            };
            if let Some(value) = value {
                wasi.env(name, value);
            }
        }
        for dir in &args.dirs {
            wasi.preopened_dir(&dir.host, &dir.guest, dir.access)
                .map_err(|e| Failure::Load(format!("--dir {}: {e}", dir.host.display())))?;
        }
        Ok(Host {
            wasi: wasi.build().map_err(|e| granted(&e))?,
            memory: MemoryLimit {
                limit: args
                    .max_memory
                    .map_or(usize::MAX, |limit| limit.try_into().unwrap_or(usize::MAX)),
                used: 0,
                pending: 0,
            },
        })
    }

    /// A store with this host as its data, and a linker with those interfaces of
    /// WASI defined that one of the modules imports from.
    pub(crate) fn into_store<'m>(
        self,
        engine: &Engine,
        modules: impl Iterator<Item = &'m Module> + Clone,
    ) -> Result<(Store<Host>, Linker<Host>), Error> {
        let mut store = Store::new(engine, self);
        store.limiter(|host| &mut host.memory);
        let mut linker = Linker::new(engine);
        linker.allow_shadowing(true);
        let is_used = |name| {
            let mut imports = modules.clone().flat_map(Module::imports);
            imports.any(|import| import.module() == name)
        };
        if is_used("wasi_snapshot_preview1") {
            tepui_wasi::add_to_linker(&mut linker, |host: &mut Host| &mut host.wasi)?;
        }
        if is_used("wasi_unstable") {
            tepui_wasi::add_unstable_to_linker(&mut linker, |host: &mut Host| &mut host.wasi)?;
        }
        Ok((store, linker))
    }

    /// Ends the guest's waits in host calls when its time is over.
    pub(crate) fn interrupt_handle(&self) -> InterruptHandle {
        self.wasi.interrupt_handle()
    }
}

/// The code for this process, if `error` means that the guest ended by itself.
pub(crate) fn exit_code(error: &Error) -> Option<u8> {
    error
        .downcast_ref::<I32Exit>()
        .map(|exit| exit.process_exit_code())
}

/// Whether `error` means that the guest was interrupted while it computed or
/// waited.
pub(crate) fn is_interruption(error: &Error) -> bool {
    error.downcast_ref::<Trap>() == Some(&Trap::Interrupt)
        || error.downcast_ref::<Interrupted>().is_some()
}

/// Limits the bytes of all memories of a store together.
struct MemoryLimit {
    /// The most, in bytes.
    limit: usize,
    /// What memories have, in bytes.
    used: usize,
    /// What the growth that was granted last adds to `used`, in case it fails.
    pending: usize,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> tepui::Result<bool> {
        let more = desired.saturating_sub(current);
        let granted = match self.used.checked_add(more) {
            Some(used) if used <= self.limit => {
                self.used = used;
                true
            }
            _ => false,
        };
        self.pending = if granted { more } else { 0 };
        Ok(granted)
    }

    fn memory_grow_failed(&mut self, _error: Error) -> tepui::Result<()> {
        self.used -= self.pending;
        self.pending = 0;
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> tepui::Result<bool> {
        Ok(true)
    }

    // The counts of instances, tables and memories are the module's own; this
    // command creates no more than the files it was given.
    fn instances(&self) -> usize {
        usize::MAX
    }

    fn tables(&self) -> usize {
        usize::MAX
    }

    fn memories(&self) -> usize {
        usize::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_share_one_limit() {
        let mut memory = MemoryLimit {
            limit: 100,
            used: 0,
            pending: 0,
        };
        let grow = |memory: &mut MemoryLimit, from, to| {
            memory.memory_growing(from, to, None).expect("no error")
        };
        assert!(grow(&mut memory, 0, 60));
        assert!(!grow(&mut memory, 0, 41));
        assert!(grow(&mut memory, 0, 40));
        assert!(!grow(&mut memory, 60, 61));
        // A refusal costs nothing; neither does a growth that fails later.
        let mut memory = MemoryLimit {
            limit: 100,
            used: 50,
            pending: 0,
        };
        assert!(grow(&mut memory, 0, 50));
        memory
            .memory_grow_failed(Error::msg("no memory"))
            .expect("no error");
        assert!(grow(&mut memory, 0, 50));
        assert!(!grow(&mut memory, 0, usize::MAX));
        memory
            .memory_grow_failed(Error::msg("refused"))
            .expect("no error");
        assert_eq!(memory.used, 100);
    }
}
