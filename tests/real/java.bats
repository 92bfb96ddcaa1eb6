# openjdk: a JIT, signals that are its own (SIGSEGV for null, SIGUSR2 to suspend), stacks without our
# unwind info, many threads.
load real

@test "java: a hot loop, threads, garbage, null pointers, deep recursion" {
	cat >Program.java <<-'END'
		import java.util.*;
		import java.util.concurrent.*;
		import java.util.stream.*;

		public class Program {
			static int deep(int n) { return 1 + deep(n + 1); }
			static long fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
			public static void main(String[] arguments) throws Exception {
				System.out.println(fib(36));
				ExecutorService pool = Executors.newFixedThreadPool(8);
				List<Future<Long>> futures = new ArrayList<>();
				for (int n = 0; n < 40; n++) {
					final int k = n;
					futures.add(pool.submit(() -> IntStream.range(0, 200000).mapToObj(i -> "x" + i * k).mapToLong(String::hashCode).sum()));
				}
				long sum = 0;
				for (Future<Long> f : futures) sum += f.get();
				pool.shutdown();
				System.out.println(sum);
				int nulls = 0;
				for (int i = 0; i < 20000; i++) {
					Object o = i % 2 == 0 ? null : "o";
					try { o.hashCode(); } catch (NullPointerException e) { nulls++; }
				}
				System.out.println(nulls);
				try { deep(0); } catch (StackOverflowError e) { System.out.println("overflow"); }
				List<byte[]> kept = new ArrayList<>();
				for (int i = 0; i < 3000; i++) { byte[] b = new byte[100000]; if (i % 100 == 0) kept.add(b); }
				System.gc();
				System.out.println(kept.size());
				Process p = new ProcessBuilder("sh", "-c", "echo child; exit 3").redirectErrorStream(true).start();
				System.out.print(new String(p.getInputStream().readAllBytes()));
				System.out.println(p.waitFor());
				System.exit(5);
			}
		}
	END
	javac -d . Program.java
	same java -Xmx256m -cp . Program
	is "$STATUS" 5
	# What it compiled has no unwind info, and so no root: that is most of it, and says so. All else has one.
	names dump/cpu.folded JavaMain JavaCalls::call_helper CompileBroker::compiler_thread_loop
	grep -vF '[no unwind info]' dump/cpu.folded >rooted
	most rooted 95 '(start_thread|__libc_start_main)'
	names dump/allocs.folded JavaMain
	most dump/allocs.folded 20 CompileBroker::compiler_thread_loop
	names dump/threadcreate.folded Threads::create_vm
	[ "$(awk '{count += $NF} END {print count}' dump/threadcreate.folded)" -ge 8 ] # of the pool alone
}
