package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// Logger writes a role's log to w in the configured form: text for people, json for machines. An unset format
// is text on a terminal and json elsewhere. Either escapes what a terminal would obey: messages quote strangers.
func Logger(cfg config.Log, role string, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); cfg.Level != "" && err != nil {
		return nil, fmt.Errorf("log.level %q: use debug, info, warn or error", cfg.Level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch format(cfg.Format, w) {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)).With("role", role), nil
	case "json":
		return slog.New(slog.NewJSONHandler(JSONWriter(w), options)).With("role", role), nil
	}
	return nil, fmt.Errorf("log.format %q: use text or json", cfg.Format)
}

func format(configured string, w io.Writer) string {
	if configured != "" {
		return configured
	}
	if file, ok := w.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return "text"
		}
	}
	return "json"
}
