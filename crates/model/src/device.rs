//! Device events and rules in, a plan of operations on device nodes out.
