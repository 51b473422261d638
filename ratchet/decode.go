package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/ratchet-rl/ratchet/internal/bus"
	"github.com/ratchet-rl/ratchet/internal/telemetry"
	"github.com/ratchet-rl/ratchet/ratchet/history"
)

type decodeCommand struct{}

func (decodeCommand) Help() string {
	return `Reads one event from standard input, protobuf or JSON, and prints it as JSON. A claim is printed as it is: it
points at the blob that holds the event.

    nats stream view TRAJECTORIES --translate 'ratchet decode'
    nats sub 'ratchet.v1.>' --translate 'ratchet decode'
    nats stream get TASKS 17 --translate 'ratchet decode'`
}

// maxEvent is more than a message of the bus can hold.
const maxEvent = 64 << 20

func (*decodeCommand) Run(_ context.Context, in *invocation) error {
	data, err := io.ReadAll(io.LimitReader(in.in, maxEvent))
	if err != nil {
		return fmt.Errorf("read the event: %w", err)
	}
	if len(data) == 0 {
		return usage(fmt.Errorf("no event on standard input"), "pipe one in: nats stream view TASKS --translate 'ratchet decode'")
	}
	ev, err := bus.Decode("", data)
	if err != nil {
		return usage(fmt.Errorf("%d bytes that are no event of Ratchet: %w", len(data), err), "")
	}
	_, err = fmt.Fprintln(telemetry.JSONWriter(in.out), indented(ev))
	return err
}

// indented is a message as JSON for people. protobuf's own indentation varies on purpose; this does not.
func indented(m proto.Message) string {
	var b bytes.Buffer
	if err := json.Indent(&b, history.JSON(m)[0], "", "  "); err != nil {
		return "null"
	}
	return b.String()
}
