package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeWhole writes a file under another name first: what has its name is whole, and durable. One that is there is left
// alone.
func writeWhole(file string, write func(io.Writer) error) (err error) {
	if _, err := os.Lstat(file); err == nil {
		return thereAlready(file)
	}
	part, err := os.CreateTemp(filepath.Dir(file), ".export-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer func() {
		if err != nil {
			_ = part.Close()
			_ = os.Remove(part.Name())
		}
	}()
	buffer := bufio.NewWriterSize(part, 1<<20)
	if err = write(buffer); err != nil {
		return err
	}
	if err = errors.Join(buffer.Flush(), part.Sync(), part.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err = os.Link(part.Name(), file); errors.Is(err, fs.ErrExist) {
		return thereAlready(file)
	} else if err != nil { // no links on this file system
		return os.Rename(part.Name(), file)
	}
	return os.Remove(part.Name())
}

func thereAlready(file string) error {
	return refused("name another file, or remove it", "%s is there already", file)
}
