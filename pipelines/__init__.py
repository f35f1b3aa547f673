"""When and where the assets are made: definitions, jobs, schedules, sensors, and the warehouse's IO manager."""
