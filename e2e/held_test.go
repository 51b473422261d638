package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// held is what each server of the bus says of its streams and queues: what a run that does not go on waits for.
func (c *cast) held() string {
	var out strings.Builder
	for _, p := range c.bus {
		fmt.Fprintf(&out, "%s:\n", p.name)
		if err := p.held(&out); err != nil {
			fmt.Fprintf(&out, "  %v\n", err)
		}
	}
	return out.String()
}

func (p *player) held(out *strings.Builder) error {
	reply, err := http.Get("http://" + p.http + "/jsz?accounts=true&streams=true&consumers=true")
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	type group struct{ Leader string }
	type sequence struct {
		Consumer uint64 `json:"consumer_seq"`
		Stream   uint64 `json:"stream_seq"`
	}
	var said struct {
		Accounts []struct {
			Streams []struct {
				Name    string
				Cluster group
				State   struct {
					Messages  uint64
					LastSeq   uint64 `json:"last_seq"`
					Consumers int    `json:"consumer_count"`
				}
				Consumers []struct {
					Name        string
					Cluster     group
					Delivered   sequence
					AckFloor    sequence `json:"ack_floor"`
					AckPending  int      `json:"num_ack_pending"`
					Redelivered int      `json:"num_redelivered"`
					Waiting     int      `json:"num_waiting"`
					Pending     int      `json:"num_pending"`
				} `json:"consumer_detail"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&said); err != nil {
		return err
	}
	for _, account := range said.Accounts {
		for _, s := range account.Streams {
			fmt.Fprintf(out, "  %s led by %s: %+v\n", s.Name, s.Cluster.Leader, s.State)
			for _, q := range s.Consumers {
				fmt.Fprintf(out, "    %+v\n", q)
			}
		}
	}
	return nil
}
