# Profiles that the program defines itself.
load ../helper

start_holder() {
	background "$TARGET/holder" "$TREE"
	wait_until 20 says ready
}

@test "what the program holds stands under custom, by the stack that took it" {
	start_holder
	is "$(ls "$TREE/custom" | sed 's/\..*//' | sort -u | tr '\n' ' ')" "connections leases "
	for form in "" .txt .pprof .folded .svg .html; do
		[ -f "$TREE/custom/leases$form" ]
	done
	rows=$(pprof_rows "$TREE/custom/connections.pprof")
	is "$(column 1 take_seven <<<"$rows")" 5
	is "$(column 1 take_three <<<"$rows")" 3
	is "$(awk '{n += $NF} END {print n}' "$TREE/custom/connections.folded")" 8
	has "$(cat "$TREE/custom/connections")" take_seven
	is "$(cat "$TREE/custom/connections.txt" | grep -c take_)" "$(grep -c take_ "$TREE/custom/connections")"
	is "$(cat "$TREE/custom/leases.folded")" ""
	run cat "$TREE/custom/nothing"
	has "$output" "No such file"
	run cat "$TREE/custom/connections.svgz"
	has "$output" "No such file"
}

@test "custom profiles can be asked like the others" {
	start_holder
	has "$(cat "$TREE/custom/connections?debug=1")" "connections profile: total 8"
	has "$(cat "$TREE/custom/connections,debug=2")" take_seven
	hasnt "$(cat "$TREE/custom/connections,focus=take_seven")" take_three
	has "$(cat "$TREE/custom/connections,focus=take_seven")" take_seven
	is "$(cat "$TREE/custom/connections.folded?focus=take_three" | awk '{n += $NF} END {print n}')" 3
	is "$(cat "$TREE/custom/connections,n=1" | grep -cE '^ +[0-9]')" 1
	for bad in 'connections?debug=x' 'connections?focus=(' 'connections,seconds=1'; do
		run cat "$TREE/custom/$bad"
		has "$output" "Invalid argument"
	done
	run cat "$TREE/custom/nothing?debug=1"
	has "$output" "No such file"
}

@test "snapshots have them, in every form" {
	start_holder
	echo one >"$TREE/snapshot"
	is "$(ls "$TREE/captures/one/custom")" "$(ls "$TREE/custom")"
	is "$(cat "$TREE/captures/one/custom/connections.folded")" "$(cat "$TREE/custom/connections.folded")"
	tar -C "$TREE/captures" -cf one.tar one
	is "$(tar -xOf one.tar one/custom/connections.folded)" "$(cat "$TREE/custom/connections.folded")"
	is "$(column 1 take_seven <<<"$(pprof_rows "$TREE/captures/one/custom/connections.pprof")")" 5
	run rmdir "$TREE/captures/one/custom"
	has "$output" "not empty"
	rm "$TREE/captures/one/custom/leases"
	[ ! -e "$TREE/captures/one/custom/leases" ]
	rm -r "$TREE/captures/one"
	is "$(ls "$TREE/captures")" ""
}

@test "the program's own collector runs when gc is written, and status says so" {
	start_holder
	echo 1 >"$TREE/free_os_memory"
	echo 1 >"$TREE/debug/freeOSMemory"
	hasnt "$(cat "$TREE/free_os_memory")" "the program"
	! says collected
	echo 1 >"$TREE/gc"
	wait_until 5 says collected
	has "$(cat "$TREE/gc")" "asked the program, glibc"
}

@test "a program that defines none has an empty directory" {
	tree_start -- sleep 100
	is "$(ls -A "$TREE/custom")" ""
}

@test "the header is good C++" {
	cat >use.cc <<-END
		#include <proffs/proffs.h>
		#include <proffs/proffs.h>
		static void collect() {}
		int main()
		{
			proffs_profile *held;
			if (proffs_profile_new(&held, "held") != 0)
				return 1;
			proffs_on_gc(collect);
			return proffs_profile_add(held, &held) || proffs_profile_remove(held, &held);
		}
	END
	g++ -std=c++11 -Wall -Wextra -Werror -I"$SOURCE/include" -o use use.cc -L"$BUILD" -lproffs -Wl,-rpath,"$BUILD"
	./use
}
