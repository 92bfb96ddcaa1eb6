# Flame graphs in a real browser, headless Chromium, opened from file:// as a person would.
# The profiles' answers are in tests/unit/render/profiles.h.
load ../helper

# flame CASE [PROFILE]: what flame.py says of a known profile's page
flame() {
	"$BUILD/tests/unit/render/draw" "${2-heap}" html >page.html
	python3 "$BATS_TEST_DIRNAME/flame.py" "$1" page.html picture.png
}

@test "the widest frame is found by its text, clicked, and is as wide as the page" {
	flame click cpu
}

@test "a search says how much of all it found, for text and for patterns" {
	flame search cpu
}

@test "another column is another picture, and the functions are told in a table" {
	flame column
}

@test "dark mode has a button" {
	flame dark
}

@test "dark mode is the system's to begin with" {
	flame follows_the_system
}

@test "arrows, Enter, Escape and slash do without a mouse" {
	flame keyboard
}

@test "a graph can stand on its feet, and be sorted by size" {
	flame turned
}

@test "names that are HTML, scripts or no text are shown as text" {
	flame markup markup
}

@test "fifty thousand different stacks are zoomed and searched" {
	flame large wide >said
	sed 's/^/# /' said >&3
}

@test "a picture opens as XML, with names from anywhere" {
	for profile in cpu markup; do
		"$BUILD/tests/unit/render/draw" "$profile" svg >page.svg
		python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' page.svg
		python3 "$BATS_TEST_DIRNAME/flame.py" picture page.svg picture.png main 0.9
	done
}

@test "a live program's page, on the mount and as a copy" {
	tree_start -- "$TARGET/split"
	echo 1 >"$TREE/cpu/seconds"
	cp "$TREE/cpu.html" copy.html
	python3 "$BATS_TEST_DIRNAME/flame.py" found copy.html picture.png seventy 0.4
	python3 "$BATS_TEST_DIRNAME/flame.py" found "$TREE/cpu.html" picture.png seventy 0.4
	cp "$TREE/cpu.svg" copy.svg
	python3 "$BATS_TEST_DIRNAME/flame.py" picture copy.svg picture.png seventy 0.4
}
