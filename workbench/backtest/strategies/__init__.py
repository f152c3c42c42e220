"""The strategies that ship; they come through the same door as a stranger's."""
