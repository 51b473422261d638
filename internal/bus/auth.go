package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/ratchet-rl/ratchet/internal/config"
)

// UsersFile is the part of nats-server's configuration that says who may do what.
const UsersFile = "users.conf"

// SeedFile is where the secret half of a role's key lies in a directory of WriteUsers.
func SeedFile(dir, role string) string { return filepath.Join(dir, role+".nk") }

// WriteUsers writes a seed for each role that has none yet, readable by its owner only, and UsersFile with their public
// halves and permissions. Keys that are there stay; the permissions become those of this version.
func WriteUsers(dir string, cfg config.Config) ([]Role, error) {
	roles, err := Roles(cfg)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the users' directory: %w", err)
	}
	public := map[string]string{}
	for _, r := range roles {
		if public[r.Name], err = publicKey(SeedFile(dir, r.Name)); err != nil {
			return nil, err
		}
	}
	return roles, replace(filepath.Join(dir, UsersFile), []byte(usersConf(roles, public)))
}

// replace puts a file in the place of another at once, when all of it is on the disk: a server may be reading it, and this
// process may die at any line.
func replace(path string, text []byte) error {
	next := path + ".next"
	out, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = out.Write(text)
	if err = errors.Join(err, out.Sync(), out.Close()); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// publicKey is the public half of the seed in a file, which is made if it is not there.
func publicKey(file string) (string, error) {
	seed, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return newSeed(file)
	}
	if err != nil {
		return "", fmt.Errorf("read seed: %w", err)
	}
	pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(seed))))
	if err != nil {
		return "", fmt.Errorf("read seed: %s holds none (%w); remove it, and a new one is made", file, err)
	}
	defer pair.Wipe()
	return pair.PublicKey()
}

func newSeed(file string) (public string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	defer pair.Wipe()
	seed, err := pair.Seed()
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	if err := replace(file, append(seed, '\n')); err != nil {
		return "", err
	}
	return pair.PublicKey()
}

// exports are what accounts may import; who does is in each account's imports. Pulling is answered by several messages.
var exports = []string{
	`{service: "` + prefix + `.>"}`, `{service: "$JS.ACK.>"}`, `{service: "$JS.API.INFO"}`, `{service: "$JS.API.STREAM.>"}`,
	`{service: "$JS.API.DIRECT.>"}`, `{service: "$JS.API.CONSUMER.INFO.>"}`, `{service: "$JS.API.CONSUMER.NAMES.>"}`,
	`{service: "$JS.API.CONSUMER.LIST.>"}`, `{service: "$JS.API.CONSUMER.MSG.NEXT.>", response: stream}`,
}

// usersConf prints the accounts: one for the streams and whom they trust, one for each confined role.
func usersConf(roles []Role, public map[string]string) string {
	var b strings.Builder
	b.WriteString(`# Who may do what on Ratchet's bus; made by ratchet, and made anew by ` + "`ratchet auth update`" + `.
# It holds no secret. Put it beside nats-server's configuration, with a line there:  include "` + UsersFile + `"
# Why an account for each role that is not trusted with the streams: docs/permissions.md.
accounts {
  ` + Account + ` {
    jetstream: enabled
    exports: [
      ` + strings.Join(exports, "\n      ") + `
    ]
    users: [
`)
	for _, r := range roles {
		if !r.Confined {
			b.WriteString(user(r, public[r.Name]))
		}
	}
	b.WriteString("    ]\n  }\n")
	for _, r := range roles {
		if r.Confined {
			fmt.Fprintf(&b, "  %s {\n    users: [\n%s    ]\n    imports: [\n", r.Name, user(r, public[r.Name]))
			for _, s := range r.imports() {
				fmt.Fprintf(&b, "      {service: {account: %s, subject: %q}}\n", Account, s)
			}
			b.WriteString("    ]\n  }\n")
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// imports are the subjects to publish that reach the streams' account.
func (r Role) imports() []string {
	return slices.DeleteFunc(slices.Clone(r.Publish), func(s string) bool { return slices.Contains(r.Deny, s) })
}

func user(r Role, public string) string {
	deny, answers := "", ""
	if len(r.Deny) > 0 {
		deny = ", deny: " + quoted(r.Deny)
	}
	if r.Answers {
		answers = ", allow_responses: true"
	}
	return fmt.Sprintf("      { # %s\n        nkey: %s\n        permissions: {\n          publish: {allow: %s%s}\n          subscribe: {allow: %s}%s\n        }\n      }\n",
		r.Name, public, quoted(r.Publish), deny, quoted(r.Subscribe), answers)
}

// quoted prints subjects as the server's configuration, and JSON, write lists.
func quoted(subjects []string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(subjects) // strings can be encoded, a Builder written
	return strings.TrimSpace(b.String())
}
