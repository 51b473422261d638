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
	models := map[string][]string{} // by what is the same of them
	var texts []string
	for _, f := range found {
		text := skills(f)
		if models[text] == nil {
			texts = append(texts, text)
		}
		models[text] = append(models[text], Safe(f.GetModel()))
	}
	for _, text := range texts {
		b.WriteString(strings.Join(models[text], ", ") + text + "\n")
	}
	return b.String()
}

// Endpoint prints what one can, cannot and may do.
func Endpoint(f *pb.Capabilities) string { return Safe(f.GetModel()) + skills(f) }

// skills is the same without the model.
func skills(f *pb.Capabilities) string {
	words := map[pb.Support][]string{}
	for _, c := range f.GetFound() {
		words[c.GetSupport()] = append(words[c.GetSupport()], Safe(c.GetName()))
	}
	text := " at " + Safe(f.GetEndpoint())
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
