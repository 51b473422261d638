package view

import (
	"fmt"
	"strings"

	pb "github.com/ratchet-rl/ratchet/proto/ratchet/v1"
)

// Endpoints prints what the endpoints of a run's models were found to do.
func Endpoints(found []*pb.Capabilities, p Paint) string {
	if len(found) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n" + p.Bold("endpoints") + ", as they were found before the first trajectory\n")
	for _, f := range found {
		b.WriteString(Endpoint(f) + "\n")
	}
	return b.String()
}

// Endpoint prints what one can, cannot and may do.
func Endpoint(f *pb.Capabilities) string {
	words := map[pb.Support][]string{}
	for _, c := range f.GetFound() {
		words[c.GetSupport()] = append(words[c.GetSupport()], Safe(c.GetName()))
	}
	text := fmt.Sprintf("%s at %s", Safe(f.GetModel()), Safe(f.GetEndpoint()))
	if f.GetServer() != "" {
		text += " (" + Safe(f.GetServer()) + ")"
	}
	if f.GetContext() > 0 {
		text += fmt.Sprintf(", context %s", Count(f.GetContext()))
	}
	for _, part := range []struct {
		name    string
		support pb.Support
	}{{"can", pb.Support_SUPPORT_YES}, {"cannot", pb.Support_SUPPORT_NO}, {"unknown", pb.Support_SUPPORT_UNSPECIFIED}} {
		if list := words[part.support]; len(list) > 0 {
			text += fmt.Sprintf("; %s: %s", part.name, strings.Join(list, ", "))
		}
	}
	return text
}
