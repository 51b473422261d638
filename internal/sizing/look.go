package sizing

import (
	"context"
	"fmt"
	"syscall"

	"github.com/ratchet-rl/ratchet/internal/bus"
)

// Look asks the bus how much room there is, and the disk that holds the server's store, if it is one of ours.
func Look(ctx context.Context, conn *bus.Conn, store string) (Room, error) {
	room := Room{Account: -1, Disk: -1}
	var err error
	if room.Streams, err = conn.Streams(ctx); err != nil {
		return room, err
	}
	if room.Account, err = conn.AccountFree(ctx); err != nil {
		return room, err
	}
	if store == "" {
		return room, nil
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(store, &disk); err != nil {
		return room, fmt.Errorf("look at the disk of bus.store_directory %s: %w", store, err)
	}
	room.Disk = int64(disk.Bavail) * int64(disk.Bsize)
	return room, nil
}
