# python3: threads, children of every kind, ctypes, and the tests of its own library.
load real

PYTHON=/usr/bin/python3

@test "python3: threads, multiprocessing by fork and by spawn, ctypes" {
	cat >program.py <<-'END'
		import concurrent.futures, ctypes, ctypes.util, hashlib, multiprocessing, os, signal, subprocess, sys, threading, time

		def digest(n):
		    data = bytes(i % 256 for i in range(n, n + 1000)) * 100
		    for _ in range(20):
		        data = hashlib.sha256(data).digest() * 3000
		    return hashlib.md5(data).hexdigest()

		def report(queue, n):
		    while time.process_time() < 1: digest(n) # of a forked child its own, too
		    queue.put((n, digest(n)))

		if __name__ == '__main__':
		    with open('pids', 'a') as pids:
		        print('first', os.getpid(), file=pids)
		    with concurrent.futures.ThreadPoolExecutor(16) as pool:
		        print(hashlib.md5(repr(list(pool.map(digest, range(200)))).encode()).hexdigest())
		    for how in 'fork', 'spawn', 'forkserver':
		        context = multiprocessing.get_context(how)
		        with context.Pool(3) as pool:
		            print(how, hashlib.md5(repr(pool.map(digest, range(20))).encode()).hexdigest())
		        queue = context.Queue()
		        processes = [context.Process(target=report, args=(queue, n)) for n in range(2)]
		        for p in processes: p.start()
		        with open('pids', 'a') as pids:
		            pids.writelines(f'{how} {p.pid}\n' for p in processes)
		        print(sorted(queue.get() for _ in processes)[0])
		        for p in processes: p.join()
		        print([p.exitcode for p in processes])
		    libc = ctypes.CDLL(ctypes.util.find_library('c'))
		    numbers = (ctypes.c_int * 30000)(*(n * 7919 % 30011 for n in range(30000)))
		    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
		    libc.qsort(numbers, 30000, 4, compare(lambda a, b: a[0] - b[0]))
		    print(list(numbers) == sorted(numbers), ctypes.CDLL(ctypes.util.find_library('z')).zlibVersion() != 0)
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
	# Its tracker of resources outlives it, and may say so before or after we look.
	plain $PYTHON program.py
	rm pids
	watched_family $PYTHON program.py
	NOISE=resource_tracker agrees
	is "$STATUS" 143
	# Six that were made in three ways: each has a profile of its own, of its own work.
	is "$(awk '{print $1}' pids | sort | uniq -c | awk '{printf "%s ", $0}' | tr -s ' ')" ' 1 first 2 fork 2 forkserver 2 spawn '
	while read -r how pid; do
		most "dump-$pid/cpu.folded" 60 _PyEval_EvalFrameDefault
		case $how in
		# Its threads, and a call through ctypes that is called back.
		first)
			names "dump-$pid/cpu.folded" SHA256_Update ffi_call qsort_r
			names "dump-$pid/threadcreate.folded" PyThread_start_new_thread
			continue
			;;
		fork) names "dump-$pid/cpu.folded" _PyRun_SimpleFileObject ;;
		*) names "dump-$pid/cpu.folded" PyRun_SimpleStringFlags ;;
		esac
		most "dump-$pid/cpu.folded" 30 SHA256_Update
	done <pids
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
	most dump/cpu.folded 80 _PyEval_EvalFrameDefault
	names dump/cpu.folded SHA256_Update start_thread
	most dump/allocs.folded 60 _PyEval_EvalFrameDefault
}

# ---- the tests of its own library: the same set of results, with a tree for every child ----

# runner: python3 runner.py MODULE FILE [PATTERN...] writes to FILE what became of each test of it, but of those whose
# name one of the patterns matches; beside it what its tree, if it has one, says of it in the end.
runner() {
	cat >runner.py <<-'END'
		import os, re, shutil, sys, unittest
		module, place, *left_out = sys.argv[1:]
		class Result(unittest.TextTestResult):
		    def note(self, test, what): results.append(f'{test.id()} {what}')
		    def addSuccess(self, test): super().addSuccess(test); self.note(test, 'ok')
		    def addError(self, test, e): super().addError(test, e); self.note(test, 'error')
		    def addFailure(self, test, e): super().addFailure(test, e); self.note(test, 'failure')
		    def addSkip(self, test, why): super().addSkip(test, why); self.note(test, f'skipped: {why}')
		    def addExpectedFailure(self, test, e): super().addExpectedFailure(test, e); self.note(test, 'expected failure')
		    def addUnexpectedSuccess(self, test): super().addUnexpectedSuccess(test); self.note(test, 'unexpected success')
		    def addSubTest(self, test, sub, e):
		        super().addSubTest(test, sub, e)
		        if e: self.note(sub, 'failed')
		def each(suite):
		    for test in suite:
		        yield from each(test) if isinstance(test, unittest.TestSuite) else [test]
		def wanted(test): return not any(re.search(pattern, test.id()) for pattern in left_out)
		results = []
		tests = unittest.defaultTestLoader.loadTestsFromName('test.' + module)
		result = unittest.TextTestRunner(resultclass=Result, verbosity=2).run(unittest.TestSuite(filter(wanted, each(tests))))
		with open(place, 'w') as file:
		    file.writelines(line + '\n' for line in sorted(results))
		here = os.path.dirname(place)
		tree = f'{here}/trees-{os.getpid()}'
		if os.path.isdir(tree):
		    for name in 'cpu.folded', 'threadcreate.folded': shutil.copy(f'{tree}/{name}', here)
		sys.exit(not result.wasSuccessful())
	END
}

# library MODULE COUNT [PATTERN...]: so many tests at the least are ok either way.
library() {
	local of
	runner
	plain $PYTHON runner.py "$1" "$PWD/plain.results" "${@:3}"
	to_end -m "$BATS_TEST_TMPDIR/trees-%p" -- $PYTHON runner.py "$1" "$PWD/watched.results" "${@:3}"
	for of in plain watched; do
		[ -s $of.results ] || { tail -n 50 plain.err "$ERR"; return 1; }
	done
	diff plain.results watched.results || { cat "$ERR"; return 1; }
	is "$STATUS" "$PLAIN_STATUS"
	[ "$(grep -c ' ok$' plain.results)" -ge "$2" ]
	wait_until 5 no_mount_left
	most cpu.folded 50 _PyEval_EvalFrameDefault
}

# Left out are the classes of test/lock_tests.py: they give other threads a hundredth of a second to come to where they
# block, and assert how long a wait takes.
@test "python3's own test_threading" {
	library test_threading 70 \
		'\.(Lock|PyRLock|CRLock|Event|ConditionAsRLock|Condition|Semaphore|BoundedSemaphore|Barrier)Tests\.'
	most threadcreate.folded 90 _PyEval_EvalFrameDefault PyThread_start_new_thread
}

# Left out is what gives a child a fixed time to do its work in: whatever has a timeout.
@test "python3's own test_subprocess" {
	library test_subprocess 240 timeout
}

# Left out: SiginterruptTest gives a new interpreter three seconds and waits for half a minute where nothing is to come;
# test_itimer_virtual, test_itimer_prof are skipped where the machine is too busy, and StressTest has a
# deadline.
@test "python3's own test_signal" {
	library test_signal 35 '\.SiginterruptTest\.' 'test_itimer_(virtual|prof)$' '\.StressTest\.'
}

# Left out is what asserts that something comes within a timeout, or does not; and VSOCK, for which some virtual machines
# have an address and nobody there.
@test "python3's own test_socket" {
	library test_socket 450 '[Tt]imeout' VSOCK 'NetworkConnection(Attributes|Behaviour)Test'
}
