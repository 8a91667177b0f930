"""Rules of events (事件): what is told, how a message is signed, when it is tried again."""
