package main

import (
	"context"
	"strings"

	"github.com/ratchet-rl/ratchet/worker"
)

func main() {
	worker.Main("shout", func(ctx context.Context, t *worker.Task) error {
		text := t.Args().GetFields()["text"].GetStringValue()
		return t.Result(ctx, map[string]any{"text": strings.ToUpper(text)})
	})
}
