// Reads a file as C++ programs do: to the end, tell, back, read so much.
#include <fstream>
#include <iostream>
#include <vector>

int main(int, char **argv)
{
	std::ifstream in(argv[1], std::ios::binary | std::ios::ate);
	std::vector<char> all(static_cast<size_t>(in.tellg()));

	in.seekg(0);
	in.read(all.data(), static_cast<std::streamsize>(all.size()));
	std::cout.write(all.data(), static_cast<std::streamsize>(all.size()));
	return in ? 0 : 1;
}
