"""Inside gdb: one line a thread, 'gdb TID PC...', as lookup addresses from the caller of park() on."""
import gdb

for thread in gdb.selected_inferior().threads():
    thread.switch()
    frame, pcs, exact, below_park = gdb.newest_frame(), [], True, False
    while frame is not None:
        kind = frame.type()
        if kind not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            # gdb has one frame for a signal; its PC is the trampoline's first instruction.
            pc = frame.pc() if exact or kind == gdb.SIGTRAMP_FRAME else frame.pc() - 1
            if below_park:
                pcs.append(f'{pc:x}')
            exact = kind == gdb.SIGTRAMP_FRAME
        below_park = below_park or frame.name() == 'park'
        frame = frame.older()
    if pcs:
        print('gdb', thread.ptid[1], *pcs)
