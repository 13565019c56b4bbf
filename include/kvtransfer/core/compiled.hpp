#pragma once

/// \file
/// The library is header-only, and can be compiled once instead of in every file of a program.
///
/// A public header declares; what its functions do, where they are no templates, stands in `detail/NAME.ipp` beside it.
/// A program that only includes gets both. One that links `kvtransfer::compiled`, or `kvtransfer::model`, which does,
/// compiles with `KVTRANSFER_COMPILED` and reads the declarations alone: a third of the time. All
/// files of a program are compiled in one mode.

#ifdef KVTRANSFER_COMPILED
#define KVTRANSFER_INLINE
#else
/// Stands before every definition in a `.ipp` file.
#define KVTRANSFER_INLINE inline
#endif
