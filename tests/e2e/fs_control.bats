#!/usr/bin/env bats
# Values are written by any shell and any tool; what is refused is said in the write.

load fs.bash

# refused VALUE FILE WORDS: echo says WORDS
refused() {
	run -1 bash -c "echo '$1' >'$M/$2'"
	[[ $output == *"$3"* ]]
}

@test "a setting reads back what was written, in every way to write it" {
	start_host
	[ "$(cat "$M/cpu/hz")" = 97 ]
	echo 997 >"$M/cpu/hz" && [ "$(cat "$M/cpu/hz")" = 997 ]
	printf 100 >"$M/cpu/hz" && [ "$(cat "$M/cpu/hz")" = 100 ]
	echo 101 >>"$M/cpu/hz" && [ "$(cat "$M/cpu/hz")" = 101 ]
	echo 102 | tee "$M/cpu/hz" >/dev/null && [ "$(cat "$M/cpu/hz")" = 102 ]
	echo 103 >"$DIR/v" && cp "$DIR/v" "$M/cpu/hz" && [ "$(cat "$M/cpu/hz")" = 103 ]
	(echo 104; echo 105) >"$M/cpu/hz" && [ "$(cat "$M/cpu/hz")" = 105 ]
	exec 5>"$M/cpu/hz" && echo 106 >&5 && echo 107 >&5 && exec 5>&-
	[ "$(cat "$M/cpu/hz")" = 107 ]
	dash -c "echo 108 >'$M/cpu/hz'" && [ "$(cat "$M/cpu/hz")" = 108 ]
	python3 -c "open('$M/cpu/hz', 'w').write('109')" && [ "$(cat "$M/cpu/hz")" = 109 ]
	: >"$M/cpu/hz" && touch "$M/cpu/hz" && truncate -s 0 "$M/cpu/hz"
	[ "$(cat "$M/cpu/hz")" = 109 ]
	echo 64KiB >"$M/config/heap_sample_bytes"
	[ "$(cat "$M/config/heap_sample_bytes")" = 65536 ]
}

@test "what is no number, or out of range, is refused by name and changes nothing" {
	start_host
	refused abc cpu/seconds "Invalid argument"
	refused "" cpu/seconds "Invalid argument"
	refused "5 5" cpu/seconds "Invalid argument"
	refused 86401 cpu/seconds "Numerical result out of range"
	refused -5 cpu/seconds "Numerical result out of range"
	refused 99999999999999999999 cpu/seconds "Numerical result out of range"
	refused 0 cpu/hz "Numerical result out of range"
	refused 4001 cpu/hz "Numerical result out of range"
	refused 2 cpu/enable "Numerical result out of range"
	refused 2 gc "Numerical result out of range"
	[ "$(cat "$M/cpu/seconds")" = 30 ]
	[ "$(cat "$M/cpu/hz")" = 97 ]
	[ "$(status captures_started)" = 0 ]
}

@test "a mebibyte of digits is out of range and harms nobody" {
	start_host
	head -c 1048576 /dev/zero | tr '\0' 7 >"$DIR/digits"
	run -1 dd if="$DIR/digits" of="$M/cpu/seconds" bs=1M
	[[ $output == *"Numerical result out of range"* ]]
	run -1 dd if="$DIR/digits" of="$M/cpu/hz" bs=4k
	[[ $output == *"Numerical result out of range"* ]]
	head -c 1048576 /dev/urandom >"$DIR/noise"
	run -1 dd if="$DIR/noise" of="$M/cpu/seconds" bs=1M
	[ "$(cat "$M/cpu/hz")" = 97 ]
}

@test "a query with a bad value is in error_log, one with an unknown key is not" {
	start_host
	run -1 cat "$M/heap?n=abc"
	[[ $output == *"Invalid argument"* ]]
	run -1 cat "$M/debug/pprof/profile,seconds=0,hz=9"
	cat "$M/heap,colour=red" >/dev/null
	run -1 cat "$M/nothing?n=abc"
	[[ $output == *"No such file"* ]]
	grep -q 'Z heap: "?n=abc": Invalid argument: not a value' "$M/error_log"
	grep -q 'Z debug/pprof/profile: ",seconds=0,hz=9": Invalid argument' "$M/error_log"
	[ "$(wc -l <"$M/error_log")" = 2 ]
}

@test "a shell that says no reason is answered in error_log" {
	start_host
	run dash -c "echo 'a	b' >'$M/cpu/seconds'"
	[ "$status" -ne 0 ]
	grep -q 'Z cpu/seconds: "a?b": Invalid argument' "$M/error_log"
	for i in $(seq 1 20); do echo "x$i" >"$M/cpu/hz" 2>/dev/null || true; done
	[ "$(wc -l <"$M/error_log")" = 16 ]
	tail -n 1 "$M/error_log" | grep -q '"x20"'
	[ "$(status fs_refused_writes)" = 21 ]
}

@test "enable switches several at once, or none" {
	start_host -w
	[ "$(cat "$M/enable")" = "$(printf 'cpu off\nwall off\nheap off')" ]
	echo "+heap cpu" >"$M/enable"
	[ "$(cat "$M/enable")" = "$(printf 'cpu on\nwall off\nheap on')" ]
	printf -- '-heap\n+wall\n' >"$M/enable"
	[ "$(cat "$M/enable")" = "$(printf 'cpu on\nwall on\nheap off')" ]
	cat "$M/enable" >"$DIR/saved"
	echo 0 >"$M/enable"
	[ "$(cat "$M/enable")" = "$(printf 'cpu off\nwall off\nheap off')" ]
	cat "$DIR/saved" >"$M/enable"
	[ "$(cat "$M/enable")" = "$(cat "$DIR/saved")" ]
	refused "-cpu +nonsense" enable "Invalid argument"
	[ "$(cat "$M/enable")" = "$(cat "$DIR/saved")" ]
	echo 1 >"$M/enable"
	[ "$(cat "$M/wall/enable")" = 1 ]
	echo 0 >"$M/cpu/enable"
	grep -q '^cpu off$' "$M/enable"
}

@test "gc and free_os_memory have other names; the program's own collector is gc's alone" {
	start_host
	for name in free_os_memory debug/gc debug/freeOSMemory; do
		echo 1 >"$M/$name"
		case $name in
		debug/gc) grep -q 'Z released 4096 bytes$' "$M/$name" ;;
		*) grep -q 'Z released 1024 bytes$' "$M/$name" ;;
		esac
		refused 2 "$name" "Numerical result out of range"
	done
}

@test "gc gives memory back and says what came of it" {
	start_host
	[ "$(cat "$M/gc")" = never ]
	echo 1 >"$M/gc"
	grep -q 'Z released 4096 bytes$' "$M/gc"
	grep -q 'Z released 4096 bytes$' "$M/status"
}
