// Signals of a program that stops on SIGTERM or SIGINT and reloads on SIGHUP, handled by an ordinary thread.
#pragma once

namespace omics {

// Blocks SIGTERM, SIGINT and SIGHUP in this thread and in every thread that it starts from now on, and ignores SIGPIPE.
// Call it in main before the first thread starts.
void BlockSignals();

// True once SIGTERM or SIGINT has come that nobody has waited for yet: for long work before WaitForSignal().
bool StopSignalPending();

// Waits for one of the three blocked signals and returns it. One thread at a time. To wake the waiter from inside the
// process, raise the signal: kill(getpid(), SIGTERM).
int WaitForSignal();

}  // namespace omics
