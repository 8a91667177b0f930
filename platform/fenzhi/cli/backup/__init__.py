"""Backup and point-in-time restore (备份与按时间点恢复) of servers that we may start; others have their own means, see the manual."""
