# node: machine code made at run time, garbage collection, worker threads, its own signals.
load real

@test "node: a hot loop, promises, worker threads, children" {
	cat >program.js <<-'END'
		const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
		const crypto = require('crypto'), zlib = require('zlib'), child = require('child_process');
		function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
		if (!isMainThread) {
			parentPort.postMessage([workerData, fib(22 + workerData)]);
		} else (async () => {
			console.log(fib(32));
			const text = Array.from({ length: 200000 }, (_, i) => `line ${i * 7919 % 100003}`).join('\n');
			console.log(crypto.createHash('sha256').update(text).digest('hex'));
			console.log(zlib.gunzipSync(zlib.gzipSync(text)).length);
			const results = await Promise.all([1, 2, 3, 4].map(n => new Promise((done, fail) =>
				new Worker(__filename, { workerData: n }).on('message', done).on('error', fail))));
			console.log(results);
			console.log(child.execFileSync('sh', ['-c', 'echo child; exit 0']).toString());
			const seen = new Map();
			for (let i = 0; i < 2e6; i++) seen.set(i % 5000, (seen.get(i % 5000) || '') + (i % 1000 === 0 ? 'x' : ''));
			console.log([...seen.values()].join('').length);
			await new Promise(done => setTimeout(done, 50));
			process.on('SIGUSR2', () => { console.log('signal'); process.exit(6); });
			process.kill(process.pid, 'SIGUSR2');
			setTimeout(() => {}, 5000);
		})();
	END
	same node program.js
	is "$STATUS" 6
	# What runs on its main thread and on its workers' is most of it; each of those threads has been made.
	most dump/cpu.folded 60 '(node::Start|start_thread)'
	names dump/cpu.folded node::Start
	most dump/allocs.folded 30 node::Start
	names dump/threadcreate.folded node::Start
	[ "$(awk '{count += $NF} END {print count}' dump/threadcreate.folded)" -ge 4 ]
	[ "$(wc -l <dump/cpu.folded)" -gt 20 ]
}
