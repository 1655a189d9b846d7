"""What every room stands on: errors of users, files that appear whole or not at all, pools of processes."""
