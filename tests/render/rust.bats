#!/usr/bin/env bats
# Names and lines of Rust: both manglings, what is inlined, methods, closures, generics. What is
# where stands in the source: the line of each mark is found by its comment.

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	cat >shop.rs <<'RS'
use std::arch::asm;
pub mod cart {
    use std::arch::asm;
    pub struct Cart<T> { pub sum: T }
    impl Cart<u64> {
        #[inline(always)]
        pub fn add(&mut self, x: u64) {
            unsafe { asm!(".globl at_add", "at_add: nop") } // add
            self.sum += x;
        }
    }
    pub trait Sell { fn sell(&mut self) -> u64; }
    impl Sell for Cart<u64> {
        #[inline(never)]
        fn sell(&mut self) -> u64 {
            self.add(2); // sell
            self.sum
        }
    }
}
#[inline(never)]
pub fn outer(cart: &mut dyn cart::Sell) -> u64 {
    let add = |x: u64| {
        unsafe { asm!(".globl at_closure", "at_closure: nop") } // closure
        x + 1
    };
    let sold = cart.sell(); // outer
    add(sold)
}
fn main() {
    let mut cart = cart::Cart { sum: std::env::args().count() as u64 };
    println!("{}", outer(&mut cart));
}
RS
	for mangling in legacy v0; do
		build "$mangling" -o "$mangling" shop.rs
	done
}

# build MANGLING ARGS: the default changes with rustc's age, and so does the flag's name.
build() {
	local flag
	case $1 in
	legacy) flag=-Csymbol-mangling-version=legacy ;;
	v0) flag=-Csymbol-mangling-version=v0 ;;
	esac
	shift
	RUSTC_BOOTSTRAP=1 /usr/bin/rustc -Zunstable-options "$flag" -A named_asm_labels -O -g "$@"
}

setup() {
	cd "$BATS_FILE_TMPDIR"
}

source_line() { grep -n "// $1\$" shop.rs | cut -d: -f1; }

offset_of() {
	local address kind offset start physical size
	address=$((16#$(nm "$1" | awk -v name="$2" '$3 == name {print $1}')))
	while read -r kind offset start physical size _; do
		[ "$kind" = LOAD ] && ((address >= start && address < start + size)) &&
			printf '%x\n' $((address - start + offset))
	done < <(readelf -lW "$1")
	return 0
}

# ask FILE SYMBOL: LINE|FUNCTION|SYSTEM for each frame
ask() {
	printf '%s\0m\0%s\0a%s\0' /nowhere "$PWD/$1" "$(offset_of "$1" "$2")" >asked
	"$PROFFS_LINES" 536870912 20 3<asked 4>answer
	tr '\0' '\n' <answer | awk '
		/^l[0-9]/ {split(substr($0, 2), n, " "); getline f; getline s; getline file
			sub(".*/", "", file); print n[1] "|" f "|" s "|" file}'
}

@test "a method inlined into a trait's method: two frames, of both manglings" {
	for mangling in legacy v0; do
		ask "$mangling" at_add >said
		cat said
		[ "$(wc -l <said)" -eq 2 ]
		grep -qE "^$(source_line add)\|.*Cart<u64>>?::add\|_.*\|shop.rs$" <(sed -n 1p said)
		grep -qE "^$(source_line sell)\|<shop::cart::Cart<u64> as shop::cart::Sell>::sell\|_.*\|shop.rs$" <(sed -n 2p said)
	done
}

@test "a closure, inlined, is its function's" {
	for mangling in legacy v0; do
		ask "$mangling" at_closure >said
		cat said
		[ "$(wc -l <said)" -eq 2 ]
		grep -qE "^$(source_line closure)\|shop::outer::\{(\{)?closure(#0)?\}(\})?\|_.*\|shop.rs$" <(sed -n 1p said)
		grep -qE "\|shop::outer\|_.*\|shop.rs$" <(sed -n 2p said)
	done
}

@test "names for people have no hash; the linker's name is kept" {
	for mangling in legacy v0; do
		ask "$mangling" at_closure | tail -n 1 >said
		cat said
		system=$(cut -d'|' -f3 said)
		nm "$mangling" | grep -qw -- "$system"
		case $mangling in
		legacy) [[ $system == _ZN4shop5outer17h* ]] ;;
		v0) [[ $system == _RN*4shop5outer ]] ;;
		esac
	done
}
