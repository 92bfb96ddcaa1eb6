// Reads a file as Go programs do: reader (readfile|copy|size) FILE
package main

import (
	"io"
	"os"
)

func check(err error) {
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
}

func main() {
	switch os.Args[1] {
	case "readfile":
		all, err := os.ReadFile(os.Args[2])
		check(err)
		os.Stdout.Write(all)
	case "copy":
		file, err := os.Open(os.Args[2])
		check(err)
		_, err = io.Copy(os.Stdout, file)
		check(err)
	case "size": // as many bytes as the open file says it has
		file, err := os.Open(os.Args[2])
		check(err)
		info, err := file.Stat()
		check(err)
		all := make([]byte, info.Size())
		_, err = io.ReadFull(file, all)
		check(err)
		os.Stdout.Write(all)
	}
}
