# Profiles that the program defines itself.
load ../helper

start_holder() {
	background "$TARGET/holder" "$TREE"
	wait_until 20 says ready
}

@test "what the program holds stands under custom, by the stack that took it" {
	start_holder
	is "$(ls "$TREE/custom")" "$(printf '%s\n' {connections,leases}{,.folded,.html,.pprof,.svg,.txt})"
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
