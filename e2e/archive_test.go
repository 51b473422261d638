package e2e

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// left are the parts of an installation that are made anew.
var left = []string{"search", "training", "lock", "trainer", "corpus.jsonl"}

// pack writes what a directory holds into an archive, as small as it gets, and returns its size.
func pack(dir, archive string) (int64, error) {
	file, err := os.Create(archive)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	compressed, err := gzip.NewWriterLevel(file, gzip.BestCompression)
	if err != nil {
		return 0, err
	}
	w := tar.NewWriter(compressed)
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if slices.Contains(left, name) && entry.IsDir() {
			return fs.SkipDir
		}
		if slices.Contains(left, name) || name == "." {
			return nil
		}
		return packOne(w, path, name)
	})
	if err := errors.Join(err, w.Close(), compressed.Close()); err != nil {
		return 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// packOne writes a file or folder without its owner and times.
func packOne(w *tar.Writer, path, name string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	head := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), Size: info.Size(), Typeflag: tar.TypeReg}
	if info.IsDir() {
		head.Typeflag, head.Size = tar.TypeDir, 0
	}
	if err := w.WriteHeader(head); err != nil || info.IsDir() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}

// unpack is the reverse of pack, into a directory that is there.
func unpack(archive, dir string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	r := tar.NewReader(plain)
	for {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unpackOne(root, head, r); err != nil {
			return err
		}
	}
}

func unpackOne(root *os.Root, head *tar.Header, body io.Reader) error {
	name := strings.TrimSuffix(head.Name, "/")
	if head.Typeflag == tar.TypeDir {
		return root.MkdirAll(name, 0o700)
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, fs.FileMode(head.Mode).Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(file, body)
	return errors.Join(err, file.Close())
}
