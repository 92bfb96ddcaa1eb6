# python3: threads, children of every kind, ctypes, and the tests of its own library.
load real

PYTHON=/usr/bin/python3

@test "python3: threads, multiprocessing by fork and by spawn, ctypes" {
	cat >program.py <<-'END'
		import concurrent.futures, ctypes, ctypes.util, hashlib, multiprocessing, os, signal, subprocess, sys, threading

		def digest(n):
		    data = bytes(i % 256 for i in range(n, n + 1000)) * 100
		    for _ in range(20):
		        data = hashlib.sha256(data).digest() * 3000
		    return hashlib.md5(data).hexdigest()

		def report(queue, n):
		    queue.put((n, digest(n)))

		if __name__ == '__main__':
		    with concurrent.futures.ThreadPoolExecutor(16) as pool:
		        print(hashlib.md5(repr(list(pool.map(digest, range(200)))).encode()).hexdigest())
		    for how in 'fork', 'spawn', 'forkserver':
		        context = multiprocessing.get_context(how)
		        with context.Pool(3) as pool:
		            print(how, hashlib.md5(repr(pool.map(digest, range(20))).encode()).hexdigest())
		        queue = context.Queue()
		        processes = [context.Process(target=report, args=(queue, n)) for n in range(4)]
		        for p in processes: p.start()
		        print(sorted(queue.get() for _ in processes)[0])
		        for p in processes: p.join()
		        print([p.exitcode for p in processes])
		    libc = ctypes.CDLL(ctypes.util.find_library('c'))
		    numbers = (ctypes.c_int * 5)(5, 3, 1, 4, 2)
		    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
		    libc.qsort(numbers, 5, 4, compare(lambda a, b: a[0] - b[0]))
		    print(list(numbers), ctypes.CDLL(ctypes.util.find_library('z')).zlibVersion() != 0)
		    # One that was forked while others ran, and threads of its own in it.
		    stop = threading.Event()
		    busy = [threading.Thread(target=lambda: [hashlib.md5(b'x' * 9999) for _ in iter(stop.is_set, True)]) for _ in range(4)]
		    for t in busy: t.start()
		    for n in range(10):
		        pid = os.fork()
		        if pid == 0:
		            t = threading.Thread(target=digest, args=(n,)); t.start(); t.join()
		            os._exit(n)
		        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), end=' ')
		    stop.set()
		    for t in busy: t.join()
		    print(subprocess.run([sys.executable, '-c', 'import os; os.abort()']).returncode)
		    os.kill(os.getpid(), signal.SIGTERM)
	END
	same $PYTHON program.py
	is "$STATUS" 143
}

@test "python3: the profiles name the interpreter's work and its threads" {
	cat >program.py <<-'END'
		import hashlib, threading
		def work():
		    for n in range(60):
		        hashlib.sha256(bytes(3000000)).hexdigest()
		threads = [threading.Thread(target=work) for _ in range(2)]
		for t in threads: t.start()
		kept = [str(n) * 20 for n in range(200000)]
		print(sum(n * n for n in range(3000000)), len(kept))
		for t in threads: t.join()
	END
	same $PYTHON program.py
	names dump/cpu.folded _PyEval_EvalFrameDefault
	names dump/allocs.folded _PyEval_EvalFrameDefault
}

# Of the library's own tests, the classes that assert nothing about how long something takes. `... ok` stands behind a
# test's name, or behind the line that says what it is.
library() { # MODULE CLASS...
	plain $PYTHON -m unittest -v "${@/#/test.}"
	FAST+=(-m "$BATS_TEST_TMPDIR/trees-%p")
	to_end -- $PYTHON -m unittest -v "${@/#/test.}"
	for said in plain.err "$ERR"; do
		sed -n 's/^Ran \([0-9]* tests\?\).*/\1/p; / \.\.\. /p; /^\(OK\|FAILED\)/p' "$said" >"$said.results"
	done
	diff plain.err.results "$ERR.results" || { cat "$ERR"; return 1; }
	is "$STATUS" "$PLAIN_STATUS"
	[ "$(grep -c ' \.\.\. ok$' plain.err.results)" -ge 10 ]
	wait_until 5 no_mount_left
}

@test "python3's own test_threading: at exit, after forks, in subinterpreters" {
	library test_threading.{ThreadJoinOnShutdown,SubinterpThreadingTests,ThreadingExceptionTests,ExceptHookTests,InterruptMainTests,AtexitTests}
}
