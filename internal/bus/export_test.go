package bus

import "testing"

// PublishRaw puts bytes on the bus that are no event.
func (c *Conn) PublishRaw(t testing.TB, subject string, data []byte) {
	t.Helper()
	if _, err := c.js.Publish(t.Context(), subject, data); err != nil {
		t.Fatal(err)
	}
}
