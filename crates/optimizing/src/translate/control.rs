//! Where does control go? Blocks, loops, branches, returns, and the entry in
//! the middle of a loop.
//!
//! Blocks of the intermediate representation are made when something branches
//! to them: a `block` that nothing leaves early costs nothing. A block's results
//! are parameters of the block that follows it, a loop's parameters those of its
//! header. Every block is sealed as soon as no further branch to it can come:
//! the one that follows a Wasm block at its `end`, a loop's header likewise.

use cranelift_codegen::ir::{
    Block, BlockArg, Inst, InstBuilder, JumpTableData, Type, Value, types,
};
use tepui_abi::Trap;
use tepui_abi::convention::Location;
use tepui_abi::profile::OSR_SLOT_BYTES;
use tepui_module::BlockType;
use wasmparser::Operator;

use super::{Step, Translator, clif_type};
use crate::osr::OnPath;

/// What an open block is.
enum Kind {
    /// The body of the function.
    Function,
    Block,
    Loop {
        header: Block,
    },
    If {
        /// The branch on the condition.
        branch: Inst,
        /// Where it goes when the condition is zero, until `else` was met.
        otherwise: Option<Block>,
        /// Where its parameters begin in `else_params`.
        saved: usize,
    },
}

/// An open block.
pub(super) struct Frame {
    kind: Kind,
    /// `None` for the function's body.
    ty: Option<wasmparser::BlockType>,
    /// Values on the operand stack below the block's parameters.
    pub(super) height: usize,
    params: usize,
    results: usize,
    /// The block that follows, once something branches to it.
    next: Option<Block>,
    on_path: OnPath,
}

impl Frame {
    /// The function's body.
    pub(super) fn function() -> Frame {
        Frame {
            kind: Kind::Function,
            ty: None,
            height: 0,
            params: 0,
            results: 0,
            next: None,
            on_path: OnPath::No,
        }
    }
}

fn arguments(values: &[Value]) -> Vec<BlockArg> {
    values.iter().map(|value| BlockArg::Value(*value)).collect()
}

impl<'a> Translator<'a, '_> {
    // Frames.

    fn block_type(&self, ty: wasmparser::BlockType) -> BlockType<'a> {
        self.module.block_type(ty)
    }

    /// A block with a parameter per type.
    fn block_with(&mut self, types: impl IntoIterator<Item = Type>) -> Block {
        let block = self.builder.create_block();
        for ty in types {
            self.builder.append_block_param(block, ty);
        }
        block
    }

    /// The frame that a relative depth names.
    fn frame_index(&self, depth: u32) -> usize {
        self.control.len() - 1 - depth as usize
    }

    /// The number of values that a branch to the frame takes.
    fn label_arity(&self, index: usize) -> usize {
        let frame = &self.control[index];
        match frame.kind {
            Kind::Function => self.func_type.results.len(),
            Kind::Loop { .. } => frame.params,
            _ => frame.results,
        }
    }

    /// The block that a branch to the frame goes to.
    fn label(&mut self, index: usize) -> Block {
        let frame = &self.control[index];
        if let Kind::Loop { header } = frame.kind {
            return header;
        }
        if let Some(next) = frame.next {
            return next;
        }
        let next = match frame.ty {
            None => {
                let results = &self.func_type.results;
                self.block_with(results.iter().map(|ty| clif_type(*ty)))
            }
            Some(ty) => {
                let ty = self.block_type(ty);
                self.block_with(ty.results().iter().map(|ty| clif_type(*ty)))
            }
        };
        self.control[index].next = Some(next);
        next
    }

    /// Opens a frame: its parameters are on top of the stack.
    fn open(&mut self, kind: Kind, ty: wasmparser::BlockType, on_path: OnPath) {
        let block_type = self.block_type(ty);
        let (params, results) = (block_type.params().len(), block_type.results().len());
        self.control.push(Frame {
            kind,
            ty: Some(ty),
            height: self.stack.len() - params,
            params,
            results,
            next: None,
            on_path,
        });
    }

    fn push_block_params(&mut self, block: Block) {
        let params = self.builder.block_params(block);
        self.stack.extend_from_slice(params);
    }

    // Instructions.

    pub(super) fn block(&mut self, ty: wasmparser::BlockType) -> Step {
        self.check_size()?;
        let on_path = self.open_on_path(ty);
        self.open(Kind::Block, ty, on_path);
        Ok(())
    }

    pub(super) fn loop_(&mut self, ty: wasmparser::BlockType) -> Step {
        self.check_size()?;
        self.charge();
        let on_path = self.open_on_path(ty);
        let block_type = self.block_type(ty);
        let params: Vec<Type> = block_type
            .params()
            .iter()
            .map(|ty| clif_type(*ty))
            .collect();
        let header = self.block_with(params.iter().copied());
        self.canonicalize_top(params.len());
        let args = self.top_arguments(params.len())?;
        self.open(Kind::Loop { header }, ty, on_path);
        self.builder.ins().jump(header, &args);
        let height = self.stack.len() - params.len();
        match on_path {
            OnPath::No => {}
            OnPath::Encloses => self.enter_loop_on_path(header, &params),
            OnPath::Target => self.enter_target(header, height, &params),
        }
        self.stack.truncate(height);
        self.builder.switch_to_block(header);
        // In this order: the use of a variable may give further parameters.
        self.push_block_params(header);
        self.refresh(on_path, height);
        if on_path == OnPath::Encloses {
            self.dispatch_inward();
        }
        self.check_meters();
        Ok(())
    }

    pub(super) fn if_(&mut self, ty: wasmparser::BlockType) -> Step {
        self.check_size()?;
        self.charge();
        let condition = self.pop_condition();
        let on_path = self.open_on_path(ty);
        let then = self.builder.create_block();
        let otherwise = self.builder.create_block();
        match self.hints.at(self.position) {
            Some(true) => self.builder.set_cold_block(otherwise),
            Some(false) => self.builder.set_cold_block(then),
            None => {}
        }
        let branch = self
            .builder
            .ins()
            .brif(condition, then, &[], otherwise, &[]);
        let saved = self.else_params.len();
        self.open(
            Kind::If {
                branch,
                otherwise: Some(otherwise),
                saved,
            },
            ty,
            on_path,
        );
        let params = self.control.last().map_or(0, |frame| frame.params);
        let start = self.stack.len() - params;
        self.else_params.extend_from_slice(&self.stack[start..]);
        self.builder.seal_block(then);
        self.builder.switch_to_block(then);
        Ok(())
    }

    pub(super) fn else_(&mut self) -> Step {
        let index = self.control.len() - 1;
        if self.reachable {
            self.charge();
            self.leave_to(index)?;
        }
        let frame = &mut self.control[index];
        let (height, on_path) = (frame.height, frame.on_path);
        if let Kind::If {
            otherwise, saved, ..
        } = &mut frame.kind
            && let Some(block) = otherwise.take()
        {
            let saved = *saved;
            self.stack.truncate(height);
            self.builder.seal_block(block);
            self.builder.switch_to_block(block);
            self.refresh(on_path, height);
            let params = self.else_params.split_off(saved);
            self.stack.extend(params);
            self.reachable = true;
        }
        Ok(())
    }

    /// Jumps from the end of a frame's code to what follows it.
    fn leave_to(&mut self, index: usize) -> Step {
        let results = self.label_results(index);
        self.canonicalize_top(results);
        let args = self.top_arguments(results)?;
        let next = self.next_block(index);
        self.builder.ins().jump(next, &args);
        Ok(())
    }

    fn label_results(&self, index: usize) -> usize {
        match self.control[index].kind {
            Kind::Function => self.func_type.results.len(),
            _ => self.control[index].results,
        }
    }

    /// The block that follows the frame, which is not a loop.
    fn next_block(&mut self, index: usize) -> Block {
        debug_assert!(!matches!(self.control[index].kind, Kind::Loop { .. }));
        self.label(index)
    }

    pub(super) fn end(&mut self) -> Step {
        if self.reachable {
            self.charge();
        }
        let index = self.control.len() - 1;
        let is_function = match &self.control[index].kind {
            Kind::Function => true,
            Kind::Block => false,
            Kind::Loop { header } => {
                // Nothing branches to the end of a loop.
                let header = *header;
                self.builder.seal_block(header);
                if !self.reachable {
                    let height = self.control[index].height;
                    self.stack.truncate(height);
                }
                self.control.pop();
                return Ok(());
            }
            Kind::If { .. } => {
                self.end_if(index)?;
                false
            }
        };
        let frame = &self.control[index];
        let (height, on_path) = (frame.height, frame.on_path);
        match frame.next {
            Some(next) => {
                if self.reachable {
                    self.leave_to(index)?;
                }
                self.stack.truncate(height);
                self.builder.seal_block(next);
                self.builder.switch_to_block(next);
                self.push_block_params(next);
                self.refresh(on_path, height);
                self.reachable = true;
            }
            None if !self.reachable => self.stack.truncate(height),
            None => {}
        }
        if is_function && self.reachable {
            self.emit_return()?;
        }
        self.control.pop();
        Ok(())
    }

    /// Lets an `if` without `else` go on when its condition is zero: its results
    /// are its parameters.
    fn end_if(&mut self, index: usize) -> Step {
        let frame = &mut self.control[index];
        let (height, params, next) = (frame.height, frame.params, frame.next);
        let Kind::If {
            branch,
            otherwise,
            saved,
        } = &mut frame.kind
        else {
            return Ok(());
        };
        let (branch, saved) = (*branch, *saved);
        let Some(block) = otherwise.take() else {
            return Ok(());
        };
        if params == 0 {
            match next {
                // The empty block in between falls away.
                Some(next) => self.builder.change_jump_destination(branch, block, next),
                None => self.control[index].next = Some(block),
            }
            return Ok(());
        }
        if self.reachable {
            self.leave_to(index)?;
        }
        self.stack.truncate(height);
        self.builder.seal_block(block);
        self.builder.switch_to_block(block);
        let values = self.else_params.split_off(saved);
        self.stack.extend(values);
        self.reachable = true;
        self.leave_to(index)?;
        self.stack.truncate(height);
        self.reachable = false;
        Ok(())
    }

    pub(super) fn br(&mut self, depth: u32) -> Step {
        self.charge();
        let index = self.frame_index(depth);
        if index == 0 {
            self.emit_return()?;
            return Ok(());
        }
        self.jump_to(index)?;
        self.unreachable();
        Ok(())
    }

    fn jump_to(&mut self, index: usize) -> Step {
        let arity = self.label_arity(index);
        self.canonicalize_top(arity);
        let args = self.top_arguments(arity)?;
        let target = self.label(index);
        self.builder.ins().jump(target, &args);
        Ok(())
    }

    pub(super) fn br_if(&mut self, depth: u32) -> Step {
        self.charge();
        let condition = self.pop_condition();
        self.branch_if(condition, depth)
    }

    /// Branches to the frame at `depth`, with the values on top of the stack,
    /// when the condition is not zero.
    pub(super) fn branch_if(&mut self, condition: Value, depth: u32) -> Step {
        self.check_size()?;
        let index = self.frame_index(depth);
        let arity = self.label_arity(index);
        self.canonicalize_top(arity);
        let args = self.top_arguments(arity)?;
        let target = self.label(index);
        let after = self.builder.create_block();
        match self.hints.at(self.position) {
            Some(false) => {
                let edge = self.builder.create_block();
                self.builder.set_cold_block(edge);
                self.builder.ins().brif(condition, edge, &[], after, &[]);
                self.builder.seal_block(edge);
                self.builder.switch_to_block(edge);
                self.builder.ins().jump(target, &args);
            }
            hint => {
                if hint == Some(true) {
                    self.builder.set_cold_block(after);
                }
                self.builder
                    .ins()
                    .brif(condition, target, &args, after, &[]);
            }
        }
        self.builder.seal_block(after);
        self.builder.switch_to_block(after);
        Ok(())
    }

    pub(super) fn br_table(&mut self, table: &wasmparser::BrTable<'_>) -> Step {
        self.charge();
        self.check_size()?;
        let selector = self.pop();
        let default = table.default();
        let mut targets = Vec::with_capacity(table.len() as usize);
        for target in table.targets() {
            targets.push(target?);
        }
        // What the table says beyond the last entry, the default says too.
        while targets.last() == Some(&default) {
            targets.pop();
        }
        if targets.is_empty() {
            let index = self.frame_index(default);
            if index == 0 {
                return self.emit_return();
            }
            self.jump_to(index)?;
            self.unreachable();
            return Ok(());
        }

        let arity = self.label_arity(self.frame_index(default));
        self.canonicalize_top(arity);
        // One edge per frame. With arguments it gets a block of its own, so
        // that they are listed once and not for every entry of the table.
        let mut edges: Vec<Option<Block>> = Vec::new();
        let mut order: Vec<(Block, u32)> = Vec::new();
        let mut edge = |this: &mut Self, depth: u32| {
            if edges.len() <= depth as usize {
                edges.resize(depth as usize + 1, None);
            }
            if let Some(block) = edges[depth as usize] {
                return block;
            }
            let block = if arity == 0 {
                let index = this.frame_index(depth);
                this.label(index)
            } else {
                let block = this.builder.create_block();
                order.push((block, depth));
                block
            };
            edges[depth as usize] = Some(block);
            block
        };
        let default = edge(self, default);
        let mut blocks = Vec::with_capacity(targets.len());
        for depth in targets {
            blocks.push(edge(self, depth));
        }

        let dfg = &mut self.builder.func.dfg;
        let default = dfg.block_call(default, &[]);
        let calls: Vec<_> = blocks
            .into_iter()
            .map(|block| dfg.block_call(block, &[]))
            .collect();
        let data = JumpTableData::new(default, &calls);
        let jump_table = self.builder.create_jump_table(data);
        self.builder.ins().br_table(selector, jump_table);
        for (block, depth) in order {
            self.builder.seal_block(block);
            self.builder.switch_to_block(block);
            let index = self.frame_index(depth);
            self.jump_to(index)?;
        }
        self.check_size()?;
        self.unreachable();
        Ok(())
    }

    pub(super) fn return_(&mut self) -> Step {
        self.charge();
        self.emit_return()
    }

    /// Returns the values on top of the stack.
    fn emit_return(&mut self) -> Step {
        let shape = self.own_shape();
        let count = shape.results.len();
        self.canonicalize_top(count);
        let start = self.stack.len() - count;
        let mut registers = Vec::with_capacity(count);
        for (i, location) in shape.results.iter().enumerate() {
            let value = self.stack[start + i];
            match *location {
                Location::Overflow(slot) => self.store_overflow(value, slot),
                _ => registers.push(value),
            }
        }
        self.builder.ins().return_(&registers);
        self.unreachable();
        Ok(())
    }

    pub(super) fn unreachable_instruction(&mut self) {
        self.charge();
        self.trap(Trap::UnreachableCodeReached);
    }

    /// Follows the nesting of unreachable code.
    pub(super) fn skip(&mut self, operator: &Operator<'_>) -> Step {
        match operator {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. } => self.skipped += 1,
            Operator::End if self.skipped > 0 => self.skipped -= 1,
            Operator::End => self.end()?,
            Operator::Else if self.skipped == 0 => self.else_()?,
            _ => {}
        }
        Ok(())
    }

    // Entry in the middle of a loop; see `crate::osr`.

    /// Has the entry block jump to the block that will load the buffer, and
    /// begins the body in a block that nothing reaches.
    pub(super) fn enter_at_loop(&mut self, entry: Block) {
        let buffer = self.builder.block_params(entry)[1];
        let load_block = self.builder.create_block();
        self.builder.ins().jump(load_block, &[]);
        self.builder.seal_block(load_block);
        let start = self.builder.create_block();
        self.builder.seal_block(start);
        self.builder.switch_to_block(start);
        let flag = self.builder.declare_var(types::I32);
        let zero = self.iconst32(0);
        self.builder.def_var(flag, zero);
        if let Some(osr) = &mut self.osr {
            osr.load_block = Some(load_block);
            osr.buffer = Some(buffer);
            osr.flag = Some(flag);
        }
        let func_type = self.func_type;
        for ty in &func_type.params {
            let ty = clif_type(*ty);
            let zero = self.zero(ty);
            self.declare_local(ty, zero);
        }
    }

    /// Makes variables of the values below a block that encloses the target.
    fn open_on_path(&mut self, ty: wasmparser::BlockType) -> OnPath {
        let Some(osr) = &mut self.osr else {
            return OnPath::No;
        };
        let on_path = osr.open(self.position);
        if on_path == OnPath::No {
            return on_path;
        }
        let known = osr.variables.len();
        let params = self.block_type(ty).params().len();
        for i in known..self.stack.len() - params {
            let value = self.canonical(self.stack[i]);
            self.stack[i] = value;
            let ty = self.value_type(value);
            let variable = self.builder.declare_var(ty);
            self.builder.def_var(variable, value);
            if let Some(osr) = &mut self.osr {
                osr.variables.push(variable);
            }
        }
        on_path
    }

    /// Takes the values below `height` anew from their variables.
    fn refresh(&mut self, on_path: OnPath, height: usize) {
        if on_path == OnPath::No {
            return;
        }
        for i in 0..height {
            let variable = self.osr.as_ref().map(|osr| osr.variables[i]);
            if let Some(variable) = variable {
                self.stack[i] = self.builder.use_var(variable);
            }
        }
    }

    fn zeros(&mut self, types: &[Type]) -> Vec<BlockArg> {
        types
            .iter()
            .map(|ty| BlockArg::Value(self.zero(*ty)))
            .collect()
    }

    /// Leads to the header of a loop that encloses the target.
    fn enter_loop_on_path(&mut self, header: Block, params: &[Type]) {
        let dispatch = self.osr.as_mut().and_then(|osr| osr.dispatch.take());
        match dispatch {
            Some(dispatch) => {
                self.builder.switch_to_block(dispatch);
                let args = self.zeros(params);
                self.builder.ins().jump(header, &args);
            }
            None => {
                // The outermost: the block that loads the buffer jumps here once
                // the whole operand stack is known. Its parameters are not used
                // on that way.
                if let Some(osr) = &mut self.osr {
                    osr.outermost = Some((header, params.to_vec()));
                }
            }
        }
    }

    /// At the header of a loop that encloses the target: goes on inward when
    /// the flag is set.
    fn dispatch_inward(&mut self) {
        let Some(flag) = self.osr.as_ref().and_then(|osr| osr.flag) else {
            return;
        };
        let dispatch = self.builder.create_block();
        let body = self.builder.create_block();
        self.builder.set_cold_block(dispatch);
        let flag = self.builder.use_var(flag);
        self.builder.ins().brif(flag, dispatch, &[], body, &[]);
        self.builder.seal_block(dispatch);
        self.builder.seal_block(body);
        self.builder.switch_to_block(body);
        if let Some(osr) = &mut self.osr {
            osr.dispatch = Some(dispatch);
        }
    }

    /// Loads the buffer and leads to the header of the target.
    fn enter_target(&mut self, header: Block, height: usize, params: &[Type]) {
        let Some(osr) = &mut self.osr else {
            return;
        };
        let (Some(load_block), Some(buffer), Some(flag)) = (osr.load_block, osr.buffer, osr.flag)
        else {
            return;
        };
        let (outermost, dispatch) = (osr.outermost.take(), osr.dispatch.take());
        let variables = osr.variables.clone();

        self.builder.switch_to_block(load_block);
        let flags = self.regions.overflow();
        let mut slot = 0;
        let mut load = |this: &mut Self, ty: Type| {
            let value = this.load_slot(ty, flags, buffer, slot * OSR_SLOT_BYTES);
            slot += 1;
            value
        };
        for i in 0..self.locals.len() {
            let ty = self.local_types[i];
            let value = load(self, ty);
            self.builder.def_var(self.locals[i], value);
        }
        for (variable, i) in variables.iter().zip(0..height) {
            let ty = self.value_type(self.stack[i]);
            let value = load(self, ty);
            self.builder.def_var(*variable, value);
        }
        let loaded: Vec<Value> = params.iter().map(|ty| load(self, *ty)).collect();

        match (outermost, dispatch) {
            (Some((outermost, outer_params)), Some(dispatch)) => {
                // The parameters travel to the last step as variables.
                let carried: Vec<_> = loaded
                    .iter()
                    .zip(params)
                    .map(|(value, ty)| {
                        let variable = self.builder.declare_var(*ty);
                        self.builder.def_var(variable, *value);
                        variable
                    })
                    .collect();
                let one = self.iconst32(1);
                self.builder.def_var(flag, one);
                let args = self.zeros(&outer_params);
                self.builder.ins().jump(outermost, &args);

                self.builder.switch_to_block(dispatch);
                let args: Vec<Value> = carried
                    .into_iter()
                    .map(|variable| self.builder.use_var(variable))
                    .collect();
                let zero = self.iconst32(0);
                self.builder.def_var(flag, zero);
                self.builder.ins().jump(header, &arguments(&args));
            }
            _ => {
                self.builder.ins().jump(header, &arguments(&loaded));
            }
        }
    }
}
