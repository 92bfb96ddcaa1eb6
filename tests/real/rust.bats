# A Rust program: std's own threads and locks (raw futexes), panics that unwind, plugins by dlopen.
load real

@test "a Rust program: threads, locks, panics caught, a plugin" {
	cat >plugin.rs <<-'END'
		#[no_mangle] pub extern "C" fn plugin_work(n: u64) -> u64 { let mut s = 0; for i in 0..n { s += format!("{}", i * 7919).len() as u64 } s }
		#[no_mangle] pub extern "C" fn plugin_panics(n: u64) -> bool { std::panic::catch_unwind(|| { if n % 2 == 0 { panic!("even") } }).is_err() }
	END
	cat >program.rs <<-'END'
		use std::collections::HashMap;
		use std::ffi::{c_void, CString};
		use std::os::raw::{c_char, c_int};
		use std::sync::{mpsc, Arc, Condvar, Mutex};
		use std::thread;
		extern "C" { fn dlopen(name: *const c_char, how: c_int) -> *mut c_void; fn dlsym(h: *mut c_void, name: *const c_char) -> *mut c_void; fn dlclose(h: *mut c_void) -> c_int; }
		#[inline(never)] fn hot_loop(n: u64) -> u64 { let mut h: u64 = 14695981039346656037; for i in 0..n { h = (h ^ (i & 255)).wrapping_mul(1099511628211); } h }
		#[inline(never)] fn hoards(n: usize) -> Vec<String> { (0..n).map(|i| "kept".repeat(i % 50 + 1)).collect() }
		fn main() {
			std::panic::set_hook(Box::new(|_| {}));
			println!("{}", hot_loop(400_000_000));
			let kept = hoards(50000);
			let shared = Arc::new((Mutex::new(0u64), Condvar::new()));
			let threads: Vec<_> = (0..8).map(|n| { let s = shared.clone(); thread::spawn(move || { for i in 0..5000u64 { let mut g = s.0.lock().unwrap(); *g += i * n; s.1.notify_one(); } n }) }).collect();
			println!("{}", threads.into_iter().map(|t| t.join().unwrap()).sum::<u64>());
			println!("{}", shared.0.lock().unwrap());
			let (sender, receiver) = mpsc::channel();
			for n in 0..4 { let s = sender.clone(); thread::spawn(move || for i in 0..10000 { s.send(i * n).unwrap() }); }
			drop(sender);
			println!("{}", receiver.iter().map(|v: u64| v).sum::<u64>());
			let caught = (0..2000).filter(|n| std::panic::catch_unwind(|| if n % 3 == 0 { panic!("third") }).is_err()).count();
			println!("{}", caught);
			println!("{}", thread::spawn(|| { if true { panic!("thread") } }).join().is_err());
			for round in 0..5 { unsafe {
				let h = dlopen(CString::new("./libplugin.so").unwrap().as_ptr(), 2); assert!(!h.is_null());
				let work: extern "C" fn(u64) -> u64 = std::mem::transmute(dlsym(h, CString::new("plugin_work").unwrap().as_ptr()));
				let panics: extern "C" fn(u64) -> bool = std::mem::transmute(dlsym(h, CString::new("plugin_panics").unwrap().as_ptr()));
				println!("{} {} {}", work(400000 + round), panics(round), dlclose(h));
			} }
			let mut map = HashMap::new();
			for i in 0..300000u64 { *map.entry(i % 977).or_insert(0u64) += i; }
			println!("{} {}", map[&13], kept.len());
			std::process::exit(11);
		}
	END
	/usr/bin/rustc -O -C debuginfo=1 -C prefer-dynamic=no --crate-type cdylib --crate-name plugin -o libplugin.so plugin.rs
	/usr/bin/rustc -O -C debuginfo=1 -o program program.rs -ldl
	same ./program
	is "$STATUS" 11
	most dump/cpu.folded 60 program::main program::hot_loop
	names dump/allocs.folded program::hoards plugin_work
	most dump/heap.folded 40 program::hoards
	# 667 of the 2000, one thread's; three of the plugin's, where our thread saw it in time.
	between 668 671 "$(awk '{count += $NF} END {print count}' dump/exceptions.folded)"
	names dump/exceptions.folded plugin_panics
	# Who made a thread or panicked is the program, not Rust's library.
	for name in threadcreate exceptions; do
		rows=$(sed -n '/^# count /,/^#$/p' "dump/$name" | grep -E '^[# ]+[0-9]')
		echo "$rows"
		has "$rows" program::main
		# The thread's closure is inlined into a function of the library: one panic is there.
		hasnt "$(head -n 2 <<<"$rows")" std::
		hasnt "$(grep '^#     ' "dump/$name")" rust_panic
		hasnt "$(pprof_rows "dump/$name.pprof" | head -n 1)" std::
	done
}
