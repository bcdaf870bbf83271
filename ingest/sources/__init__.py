"""Where pictures come from: folders, videos, cameras and the simulator, behind one small protocol."""
