package e2e

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// training is how long a job takes: long enough to be interrupted.
const training = 700 * time.Millisecond

// trainCommand is the command of a target whose jobs report to the course of that key.
func (s site) trainCommand(key string) []string {
	return []string{s.trainer, trainWord, s.models.URL, key, "{manifest}", "{out}", "{target}"}
}

// train is the trainer: its model is a function of mixture and target.
func train(args []string) int {
	if len(args) != 5 {
		fmt.Fprintln(os.Stderr, "want URL KEY MANIFEST OUT TARGET")
		return 2
	}
	if err := trainOn(args[0], args[1], args[2], args[3], args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func trainOn(url, key, manifest, out, target string) error {
	text, err := os.ReadFile(manifest)
	if err != nil {
		return err
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(text))
	if err := post(url, key, []byte(target+" on "+sum[:8])); err != nil {
		return err
	}
	fmt.Println(`{"done":1,"total":2,"loss":1}`)
	<-time.After(training)
	fmt.Println(`{"done":2,"total":2,"loss":0.5}`)
	file, err := os.Create(filepath.Join(out, "model.txt"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, target, sum)
	return errors.Join(err, file.Close())
}
