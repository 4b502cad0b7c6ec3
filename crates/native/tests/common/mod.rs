//! A small runtime for the tests: contexts under the layouts of the contract,
//! and code in a region.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(missing_docs, unreachable_pub, reason = "not a library")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the invariants are the fixture's: contexts and code live as long as it"
)]

pub mod guest;

use std::cell::RefCell;

use tepui_abi::Target;
use tepui_abi::image::{LeaveStatus, RegisterImage};
use tepui_abi::layout::{ContextHeader, StoreLayout};
use tepui_native::code::{CodeAllocation, CodeRegion};
use tepui_native::stubs::{EnterStatus, LeaveFn, RegisterClasses, StubFn, call};

pub const STORE: StoreLayout = StoreLayout::new(Target::host());
pub const HEADER: ContextHeader = ContextHeader::new(Target::host());

/// Offsets in the contexts of the tests, known to the guest code.
pub const IMPORT_CODE: usize = 16;
pub const IMPORT_CONTEXT: usize = 24;
pub const OTHER_CODE: usize = 32;

#[repr(C, align(16))]
pub struct Words<const N: usize>(pub [usize; N]);

impl<const N: usize> Words<N> {
    pub fn at(&mut self, offset: u32) -> &mut usize {
        &mut self.0[offset as usize / size_of::<usize>()]
    }
}

/// Contexts of one instance and one host function.
pub struct Fixture {
    pub store: Box<Words<16>>,
    pub instance: Box<Words<8>>,
    pub host: Box<Words<4>>,
    pub builtins: Box<Words<4>>,
}

impl Fixture {
    pub fn new() -> Fixture {
        tepui_native::signals::ensure_thread_ready().expect("signal stack");
        let mut fixture = Fixture {
            store: Box::new(Words([0; 16])),
            instance: Box::new(Words([0; 8])),
            host: Box::new(Words([0; 4])),
            builtins: Box::new(Words([0; 4])),
        };
        assert!(STORE.size() as usize <= 16 * size_of::<usize>());
        let store = fixture.store_context() as usize;
        *fixture.instance.at(HEADER.store_context()) = store;
        *fixture.host.at(HEADER.store_context()) = store;
        let builtins = fixture.builtins.0.as_mut_ptr() as usize;
        *fixture.instance.at(HEADER.builtins()) = builtins;
        fixture
    }

    /// Imports a host function through the *leave* stub `stub`.
    pub fn import(&mut self, stub: StubFn, function: LeaveFn) {
        *self.host.at(HEADER.host_entry()) = function as usize;
        let host = self.host.0.as_mut_ptr() as usize;
        self.instance.0[IMPORT_CODE / 8] = stub as usize;
        self.instance.0[IMPORT_CONTEXT / 8] = host;
    }

    pub fn store_context(&mut self) -> *mut u8 {
        self.store.0.as_mut_ptr().cast()
    }

    pub fn instance_context(&mut self) -> *mut u8 {
        self.instance.0.as_mut_ptr().cast()
    }

    pub fn call(
        &mut self,
        code: *const u8,
        image: &mut RegisterImage,
        classes: RegisterClasses,
    ) -> EnterStatus {
        let instance = self.instance_context();
        let store = self.store_context();
        unsafe { call(code, instance, 0xca11e4 as *mut u8, image, store, classes) }
    }

    /// Calls with integers only; the first integer result.
    pub fn call_integers(&mut self, code: *const u8, parameters: &[u64]) -> Option<u64> {
        let mut image = RegisterImage::default();
        image.integers[..parameters.len()].copy_from_slice(parameters);
        match self.call(code, &mut image, RegisterClasses::Integers) {
            EnterStatus::Returned => Some(image.integers[0]),
            EnterStatus::Unwound => None,
        }
    }

    /// No trace of a call is left.
    pub fn assert_idle(&mut self) {
        assert_eq!(*self.store.at(STORE.entry_sp()), 0);
        assert_eq!(*self.store.at(STORE.exit_fp()), 0);
    }
}

/// Puts code into an allocation of its own.
pub fn publish(region: &CodeRegion, code: &[u8], owner: *const ()) -> CodeAllocation {
    let allocation = region.allocate(code.len()).expect("memory for code");
    unsafe {
        allocation
            .publish(owner, |bytes| bytes[..code.len()].copy_from_slice(code))
            .expect("published");
    }
    allocation
}

/// Code that returns a constant.
pub fn constant(value: u32) -> Vec<u8> {
    if cfg!(target_arch = "x86_64") {
        // mov eax, value; ret
        let mut code = vec![0xb8];
        code.extend(value.to_le_bytes());
        code.push(0xc3);
        code
    } else {
        // movz x2, #low; movk x2, #high, lsl #16; ret
        [
            0xd280_0002 | (value & 0xffff) << 5,
            0xf2a0_0002 | (value >> 16) << 5,
            0xd65f_03c0,
        ]
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect()
    }
}

/// A trap that the runtime of the tests was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    pub store: usize,
    pub pc: usize,
    pub trap: u32,
    pub address: usize,
    /// Return addresses, innermost activation first.
    pub activations: Vec<Vec<usize>>,
}

thread_local! {
    pub static REPORTED: RefCell<Vec<Reported>> = const { RefCell::new(Vec::new()) };
}

/// What code is registered with in the tests: offsets of instructions that may
/// fault, and their traps.
pub struct Owner {
    pub sites: Vec<(usize, u8)>,
}

impl Owner {
    pub fn address(&self) -> *const () {
        (self as *const Owner).cast()
    }
}

fn look_up(owner: *const (), offset: usize) -> Option<u8> {
    let owner = unsafe { owner.cast::<Owner>().as_ref() }?;
    owner
        .sites
        .iter()
        .find(|(site, _)| *site == offset)
        .map(|(_, trap)| *trap)
}

tepui_native::stub_convention! {
    [unsafe] fn on_trap(
        store_context: *mut u8,
        pc: usize,
        fp: usize,
        trap: u32,
        address: usize,
    ) {
        use tepui_native::walk::Activations;
        let stack = tepui_native::stack::thread_stack_bounds().expect("stack");
        let activations = unsafe { Activations::after_fault(store_context, pc, fp) }
            .map(|activation| {
                unsafe { activation.frames(stack.clone()) }
                    .map(|frame| frame.pc)
                    .collect()
            })
            .collect();
        REPORTED.with_borrow_mut(|reported| {
            reported.push(Reported {
                store: store_context as usize,
                pc,
                trap,
                address,
                activations,
            });
        });
    }
}

pub fn install() {
    unsafe { tepui_native::signals::install(look_up, on_trap).expect("handlers") }
}

tepui_native::stub_convention! {
    /// A host function that unwinds.
    [pub unsafe] fn host_unwind(
        _callee: *mut u8,
        _caller: *mut u8,
        _image: *mut RegisterImage,
        _slot: usize,
    ) -> LeaveStatus {
        LeaveStatus::Unwind
    }
}
