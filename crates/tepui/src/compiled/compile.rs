//! What is compiled before a module has its first instance, and how?

use std::sync::atomic::{AtomicUsize, Ordering};

use tepui_abi::{Batch, Compiler, Entry, FunctionInput, Plan};
use tepui_image::{CodeBuilder, CodeImage};
use tepui_module::DefinedFuncIndex;

use crate::code::ModuleCode;
use crate::config::Strategy;
use crate::engine::Variant;
use crate::module::ModuleInner;
use crate::tier::{Assignment, Tier};
use crate::{Error, Result, parallel};

/// How much of a compilation is done.
pub(crate) struct Work {
    functions: usize,
    done: AtomicUsize,
}

impl Work {
    pub(crate) fn new(functions: usize) -> Work {
        Work {
            functions,
            done: AtomicUsize::new(0),
        }
    }
}

impl ModuleInner {
    /// Compiles what the engine's strategy has compilers for, and publishes it.
    ///
    /// # Errors
    ///
    /// When a function exceeds a limit of the compiler, or memory for code
    /// cannot be had.
    pub(crate) fn compile_all(&self, code: &ModuleCode, variant: Variant) -> Result<()> {
        let Some(compiled) = code.compiled() else {
            return Ok(());
        };
        let shares = self.shares();
        let work = Work::new(shares.iter().map(|(_, functions)| functions.len()).sum());
        for (tier, functions) in &shares {
            let compiler = self.engine().compiler(*tier, variant)?;
            let mut image = self.compile(compiler, code.plan(), functions, &work)?;
            let text = image.take_text();
            compiled.publish(self.engine(), &text, image)?;
        }
        Ok(())
    }

    /// The defined functions, ascending.
    pub(crate) fn functions(&self) -> Vec<DefinedFuncIndex> {
        (0..self.module().defined_function_count())
            .map(DefinedFuncIndex::new)
            .collect()
    }

    /// What each compiler compiles before there is an instance: functions,
    /// ascending. All others are interpreted.
    fn shares(&self) -> Vec<(Tier, Vec<DefinedFuncIndex>)> {
        let strategy = self.engine().config().strategy;
        if let Strategy::Mixed { seed } = strategy {
            let assignment = Assignment::new(seed, self.module().defined_function_count());
            let mut shares = Tier::COMPILERS.map(|tier| (tier, Vec::new()));
            for function in self.functions() {
                let bytes = self.module().body(function).range().len();
                let tier = assignment.tier(function.as_u32(), bytes);
                if let Some((_, share)) = shares.iter_mut().find(|(other, _)| *other == tier) {
                    share.push(function);
                }
            }
            let shares = shares.into_iter();
            return shares.filter(|(_, share)| !share.is_empty()).collect();
        }
        match strategy.tier() {
            None | Some(Tier::Interpreter) => Vec::new(),
            Some(tier) => vec![(tier, self.functions())],
        }
    }

    /// Compiles functions, ascending, as one batch.
    pub(crate) fn compile(
        &self,
        compiler: &dyn Compiler,
        plan: &Plan,
        functions: &[DefinedFuncIndex],
        work: &Work,
    ) -> Result<CodeImage> {
        let count = functions.len();
        let batch = if count == self.module().defined_function_count() as usize {
            Batch::Whole
        } else {
            Batch::Functions(functions)
        };
        let progress = self.engine().progress();
        let mut builder = CodeBuilder::new(compiler.target());
        // About what a baseline compiler makes, within reason.
        let bytes = 2 * self.module().code_range().len().min(32 << 20);
        builder.reserve(count, bytes);
        let compile = |index: usize| {
            let function = functions[index];
            let compiled = compiler.compile(&FunctionInput {
                module: self.module(),
                bytes: self.bytes(),
                summaries: self.summaries(),
                plan,
                function,
                entry: Entry::Start,
                batch,
            });
            let done = work.done.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(progress) = progress {
                progress(done, work.functions);
            }
            let compiled = compiled.map_err(|error| {
                let index = self.module().func_index(function);
                let name = self.function_name(index);
                let error = Error::new(error);
                match name {
                    Some(name) => error.context(format!("cannot compile function `{name}`")),
                    None => error.context(format!("cannot compile function {}", index.as_u32())),
                }
            })?;
            Ok::<_, Error>((function, compiled))
        };
        // Each function goes to its place at once, so that the code is not in
        // memory twice.
        let threads = self.engine().compile_threads();
        parallel::try_in_order(count, threads, compile, |(function, compiled)| {
            builder.push(function, compiled);
        })?;
        Ok(builder.finish()?)
    }
}
